"""What has become of a batch's deliveries: the one result that the stages return and add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from aws.queue import Delivery
from schema.items import RequestItem
from schema.message import MessageDefect
from schema.values import value
from worker.decide import Candidate


class Outcome(StrEnum):
    """How a delivery was settled; the values of `worker_messages_settled_total{outcome}`."""

    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    FAILED_FINAL = "failed_final"
    DUPLICATE = "duplicate"
    RETRIED = "retried"
    QUARANTINED = "quarantined"
    RETURNED = "returned"


class Retry(Enum):
    """Whether this worker should try an undecided request again."""

    IMMEDIATELY = "immediately"
    """What was read is out of date: another writer was faster."""
    AFTER_BACKOFF = "after back-off"
    """It could not be written, for what may be a passing reason."""
    WHEN_FREE = "when free"
    """Somebody else was writing it, or the table bears no more: not its own fault."""
    AFTER_OUTAGE = "after an outage"
    """The table did not answer, or refused the call as a whole."""
    NEVER = "never"
    """Another try here would fail, too."""


OTHERS_FAULT: Final = frozenset({Retry.WHEN_FREE, Retry.AFTER_OUTAGE})
"""Where the message is not to blame: such tries do not count (domain §6)."""


@value(frozen=True, slots=True)
class Decided:
    """A final request: its event is to be published and its deliveries deleted."""

    deliveries: tuple[Delivery, ...]
    item: RequestItem
    by_this_worker: bool
    """Whether this batch took the decision; otherwise it is a redelivery."""


@dataclass(frozen=True, slots=True)
class Defective:
    """A delivery that names no usable request: it is to be quarantined."""

    delivery: Delivery
    defect: MessageDefect
    started_at_ms: int
    finished_at_ms: int
    """When its processing began, and when the defect was found (epoch milliseconds)."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """A request to be tried again, here or by whoever receives its messages next."""

    candidate: Candidate
    reason: str
    retry: Retry = Retry.NEVER


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What has become of a batch, or of a part of it; results of parts add up."""

    decided: Sequence[Decided] = ()
    defective: Sequence[Defective] = ()
    undecided: Sequence[Undecided] = ()
    young: Sequence[Candidate] = ()
    """To be read again a moment later: ingest is about to write them."""

    @property
    def deliveries(self) -> list[Delivery]:
        """All deliveries that it speaks of."""
        candidates = (*(undecided.candidate for undecided in self.undecided), *self.young)
        return [
            *(delivery for entry in self.decided for delivery in entry.deliveries),
            *(delivery for candidate in candidates for delivery in candidate.deliveries),
            *(defective.delivery for defective in self.defective),
        ]

    def __add__(self, other: "BatchResult") -> "BatchResult":
        return BatchResult(
            (*self.decided, *other.decided),
            (*self.defective, *other.defective),
            (*self.undecided, *other.undecided),
            (*self.young, *other.young),
        )
