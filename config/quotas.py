"""What an account, a table and a queue bear, by region: the plan's limits and the simulation's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import Any, Final, Self

from config.limits import (
    DYNAMODB_NEW_READ_UNITS,
    DYNAMODB_NEW_WRITE_UNITS,
    SQS_IN_FLIGHT_MESSAGES,
)

_EVERY: Final = "all"
"""Stands for every limit, to switch them off."""
COUNTED: Final = "in_flight_messages"
"""The limit that is a number of messages, and no rate."""

REGIONS: Final = {
    # PutEvents and rule invocations a second (EventBridge User Guide, "EventBridge quotas");
    # bytes, records and calls a second of Direct PUT (Data Firehose Developer Guide, "Quota").
    "us-east-1": (10_000, 18_750, 5 * 1_048_576, 500_000, 2_000),
    "us-east-2": (2_400, 4_500, 1_048_576, 100_000, 1_000),
    "us-west-2": (10_000, 18_750, 5 * 1_048_576, 500_000, 2_000),
    "eu-west-1": (10_000, 18_750, 5 * 1_048_576, 500_000, 2_000),
    "ap-northeast-1": (2_400, 4_500, 1_048_576, 100_000, 1_000),
    "ap-northeast-2": (600, 1_100, 1_048_576, 100_000, 1_000),
}


class LimitError(ValueError):
    """There is no such limit, no such region, or no such value; the text says what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an account, a table and a queue bear; None switches a limit off."""

    partition_write_units: float | None = None
    """Write units a second of one partition, whatever the table's own throughput (DynamoDB
    Developer Guide, "Partitions and data distribution": 1,000)."""
    partition_read_units: float | None = None
    """Read units a second of one partition (the same page: 3,000)."""
    table_write_units: float | None = None
    """Warm write throughput of the table (DynamoDB Developer Guide, "Warm throughput": a new
    on-demand table bears 4,000)."""
    table_read_units: float | None = None
    """Warm read throughput of the table (the same page: 12,000)."""
    index_write_units: float | None = None
    """Warm write throughput of each index; an index that can't keep up throttles the table's
    writes ("Understanding throttling of global secondary indexes")."""
    index_read_units: float | None = None
    """Warm read throughput of each index."""
    in_flight_messages: int | None = None
    """Messages of a queue that are received and not deleted; beyond them a receive comes back
    empty (Amazon SQS Developer Guide, "Message quotas": 120,000)."""
    put_events_per_s: float | None = None
    """PutEvents calls a second of the account in its region ("EventBridge quotas")."""
    invocations_per_s: float | None = None
    """Deliveries to targets a second; what exceeds them comes later and is not lost."""
    firehose_bytes_per_s: float | None = None
    """Bytes a second that a stream takes by Direct PUT ("Data Firehose quota")."""
    firehose_records_per_s: float | None = None
    """Records a second that a stream takes by Direct PUT."""
    firehose_calls_per_s: float | None = None
    """PutRecord and PutRecordBatch calls a second."""

    @classmethod
    def of(cls, region: str) -> Self:
        """AWS's own limits for a new table and an account without raised quotas.

        Raises LimitError for a region whose quotas are not known.
        """
        if region not in REGIONS:
            raise LimitError(
                f"the quotas of {region!r} are not known; known are {', '.join(sorted(REGIONS))}"
            )
        put_events, invocations, stream_bytes, stream_records, stream_calls = REGIONS[region]
        return cls(
            partition_write_units=1_000,
            partition_read_units=3_000,
            table_write_units=DYNAMODB_NEW_WRITE_UNITS,
            table_read_units=DYNAMODB_NEW_READ_UNITS,
            index_write_units=DYNAMODB_NEW_WRITE_UNITS,
            index_read_units=DYNAMODB_NEW_READ_UNITS,
            in_flight_messages=SQS_IN_FLIGHT_MESSAGES,
            put_events_per_s=put_events,
            invocations_per_s=invocations,
            firehose_bytes_per_s=stream_bytes,
            firehose_records_per_s=stream_records,
            firehose_calls_per_s=stream_calls,
        )

    def replaced(self, wished: Mapping[str, float | None], *further: str) -> Self:
        """With other values, by name; None switches a limit off, and "all" every one.

        Raises LimitError for a name that does not exist, which names those that do, `further` ones
        of the caller's included, and for a value that is not above 0.
        """
        values: dict[str, Any] = {}
        for name, value in wished.items():
            if name == _EVERY and value is None:
                values = dict.fromkeys(self.names())
                continue
            if name not in self.names():
                known = ", ".join((*self.names(), *further, f"{_EVERY}=none"))
                raise LimitError(f"there is no limit {name!r}; there are {known}")
            if value is not None and not (isfinite(value) and value > 0):
                raise LimitError(f"{name} must be a number above 0; 'none' switches it off")
            values[name] = round(value) if name == COUNTED and value is not None else value
        return replace(self, **values)

    @property
    def has_dynamodb_units(self) -> bool:
        """Whether any limit counts DynamoDB's units."""
        units = (
            *(self.partition_write_units, self.partition_read_units),
            *(self.table_write_units, self.table_read_units),
            *(self.index_write_units, self.index_read_units),
        )
        return any(limit is not None for limit in units)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The limits' names."""
        return tuple(field.name for field in fields(cls))


NO_LIMITS: Final = Limits()


def parsed(texts: Iterable[str]) -> dict[str, float | None]:
    """Read limits as typed, `name=value` or `name=none`; raises LimitError."""
    limits: dict[str, float | None] = {}
    for text in texts:
        name, is_there, value = text.partition("=")
        try:
            limits[name] = None if value == "none" else float(value)
        except ValueError as error:
            wrong = f"{value!r} is no number" if is_there else "its value is missing"
            raise LimitError(f"--limit {text}: {wrong}; write name=value or name=none") from error
    return limits
