"""What a bus hands to its rules' targets: within the account's quota, in order, and again."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from simulation.aws.account import Account
from simulation.aws.bucket import bucket
from simulation.aws.firehose import Stream

_MAX_RECORDS: Final = 500
"""Of one PutRecordBatch."""
_STEP_S: Final = 0.1
"""Beyond the quota, what has come due is delivered so often, in one batch."""
_MAX_BACK_OFF_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Invocation:
    stream: Stream
    record: bytes
    attempt: int


class Invocations:
    """Deliveries to targets; each event is delivered in the end, however late.

    What the quota does not allow now comes later, in order ("EventBridge quotas": Invocations).
    What a target refuses is tried again with exponential back-off and full jitter; the 24 hours
    and 185 attempts after which AWS gives up ("How EventBridge retries delivering events") are
    longer than any run.
    """

    def __init__(self, account: Account, bus_arn: str) -> None:
        self._account = account
        self._bus_arn = bus_arn
        self._allowed = bucket(account.limits.invocations_per_s, account.clock)
        self._pending: deque[_Invocation] = deque()
        self._is_alarm_set = False

    def add(self, stream: Stream, records: Sequence[bytes], attempt: int = 1) -> None:
        """Deliver records now, or when the quota allows it."""
        self._pending.extend([_Invocation(stream, record, attempt) for record in records])
        self._deliver()
        observer = self._account.observer
        if observer is not None:
            for _ in range(min(len(records), len(self._pending))):
                observer.throttled("invocations_per_s", self._bus_arn)

    def _deliver(self) -> None:
        if self._is_alarm_set:
            return
        while due := self._due():
            stream, attempt = due[0].stream, due[0].attempt
            refused = stream.put_record_batch([invocation.record for invocation in due])
            if refused:
                back_off_s = min(_MAX_BACK_OFF_S, 2.0**attempt) * self._account.random.random()
                self._account.clock.call_later(back_off_s, self.add, stream, refused, attempt + 1)
        if self._pending:
            self._is_alarm_set = True
            self._account.clock.call_later(_STEP_S, self._ring)

    def _ring(self) -> None:
        self._is_alarm_set = False
        self._deliver()

    def _due(self) -> list[_Invocation]:
        """The next batch: of one target, as AWS's own grouping is not documented."""
        due: list[_Invocation] = []
        pending = self._pending
        while pending and len(due) < _MAX_RECORDS:
            is_alike = not due or (
                pending[0].stream is due[0].stream and pending[0].attempt == due[0].attempt
            )
            if not is_alike or (self._allowed is not None and not self._allowed.take()):
                break
            due.append(pending.popleft())
        return due
