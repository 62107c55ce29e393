"""One Firehose stream: takes records within its limits, and gathers them into objects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Final

from simulation.aws.account import Account
from simulation.aws.bucket import bucket
from simulation.aws.clock import Timer

_DELIMITER: Final = b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffering:
    """When an object is written, as `infra/pipeline.yaml` sets it: whichever comes first."""

    max_bytes: int = 1_048_576
    max_age_s: float = 60.0


class Stream:
    """A Direct PUT stream with AppendDelimiterToRecord; its objects stay in memory."""

    def __init__(self, name: str, account: Account, buffering: Buffering) -> None:
        self.name = name
        self.arn = account.arn("firehose", f"deliverystream/{name}")
        self.objects: list[tuple[str, bytes]] = []
        """Key and content of each, in the order in which they were written."""
        self._account = account
        self._buffering = buffering
        self._numbers: Iterator[int] = count(1)
        limits, clock = account.limits, account.clock
        self._calls = bucket(limits.firehose_calls_per_s, clock)
        self._bytes_left = bucket(limits.firehose_bytes_per_s, clock)
        self._records_left = bucket(limits.firehose_records_per_s, clock)
        self._records: list[bytes] = []
        self._bytes = 0
        self._oldest_ms = 0
        self._alarm: Timer | None = None

    def put_record_batch(self, records: Sequence[bytes]) -> list[bytes]:
        """PutRecordBatch: takes what the limits allow, and returns the records it refused.

        Over the limit of calls all are refused, else each record by itself: both are
        ServiceUnavailableException (Data Firehose API Reference, "PutRecordBatch").
        """
        if self._calls is not None and not self._calls.take():
            self._throttled("firehose_calls_per_s")
            return list(records)
        return [record for record in records if not self._put(record)]

    def _put(self, record: bytes) -> bool:
        if self._bytes_left is not None and not self._bytes_left.has(len(record)):
            self._throttled("firehose_bytes_per_s")
            return False
        if self._records_left is not None and not self._records_left.take():
            self._throttled("firehose_records_per_s")
            return False
        if self._bytes_left is not None:
            self._bytes_left.take(len(record))
        if self._account.observer is not None:
            self._account.observer.delivered(record)
        self._gather(record + _DELIMITER)
        return True

    def _throttled(self, limit: str) -> None:
        if self._account.observer is not None:
            self._account.observer.throttled(limit, self.arn)

    def _gather(self, line: bytes) -> None:
        if self._records and self._bytes + len(line) > self._buffering.max_bytes:
            self._write()
        if not self._records:
            self._oldest_ms = self._account.clock.epoch_ms()
            self._alarm = self._account.clock.call_later(self._buffering.max_age_s, self._write)
        self._records.append(line)
        self._bytes += len(line)
        if self._bytes >= self._buffering.max_bytes:
            self._write()

    def _write(self) -> None:
        """Write an object under the arrival of its oldest record, in UTC.

        Data Firehose Developer Guide, "Understand custom prefixes for Amazon S3 objects".
        """
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        arrived_at = datetime.fromtimestamp(self._oldest_ms / 1000, UTC)
        key = (
            f"events/dt={arrived_at:%Y-%m-%d}/hour={arrived_at:%H}/"
            f"{self.name}-1-{arrived_at:%Y-%m-%d-%H-%M-%S}-{next(self._numbers):08x}"
        )
        self.objects.append((key, b"".join(self._records)))
        self._records, self._bytes = [], 0
