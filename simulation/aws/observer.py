"""What can be seen of the model from outside: each effect, at the instant at which it happens."""

from collections.abc import Callable, Mapping
from typing import Any

from simulation.aws.sqs.messages import Message


class Observer:
    """Learns of every effect; this one ignores them all, others override what they want."""

    def wrote(self, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        """An item was written: what stood there, and what stands there now (None: nothing)."""

    def was_in_the_way(self, key: tuple[str, str]) -> None:
        """An item, by PK and SK, was a reason for which a transaction was cancelled."""

    def sent(self, queue: str, message: Message) -> None:
        """A message entered a queue."""

    def received(self, queue: str, message: Message) -> None:
        """A message was handed out: `receipt_handle`, `receive_count` and `visible_at` say how."""

    def changed_visibility(self, queue: str, message: Message) -> None:
        """A message in flight got another time at which it becomes visible."""

    def not_in_flight(self, queue: str, receipt: int, timeout_s: int) -> None:
        """A message was to be hidden by a receive after which it has become visible again."""

    def deleted(self, queue: str, message: Message) -> None:
        """A message is gone for good."""

    def entry_failed(self, operation: str, queue: str, message: Message) -> None:
        """A delete or a change of visibility failed for one message in flight, in a batch that
        succeeded."""

    def moved(self, source: str, target: str, message: Message) -> None:
        """A message was received too often and went to the dead-letter queue."""

    def published(self, entry: Mapping[str, Any]) -> None:
        """The bus accepted an event."""

    def delivered(self, record: bytes) -> None:
        """The stream took an event's detail."""

    def throttled(self, limit: str, resource: str) -> None:
        """Something was refused or left waiting by a limit, named as in `Limits`."""

    def watches(self, effect: Callable[..., None]) -> bool:
        """Whether it overrides an effect, given as `Observer.sent` and so on."""
        return getattr(type(self), effect.__name__) is not effect
