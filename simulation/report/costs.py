"""What a million requests cost on AWS, by the units and calls that the model counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from simulation.outcome import Figures

MILLION: Final = 1_000_000
WRITE_DOLLARS: Final = 0.625 / MILLION
"""List prices of us-east-1 in 2025, on demand: docs/operations.md, "Costs"."""
READ_DOLLARS: Final = 0.125 / MILLION
EVENT_DOLLARS: Final = 1.00 / MILLION
SQS_CALL_DOLLARS: Final = 0.40 / MILLION
FIREHOSE_GB_DOLLARS: Final = 0.029
_FIREHOSE_RECORD_GB: Final = 5 / 1024**2
"""Each record is billed as 5 KB at least."""
_QUEUE_CALLS: Final = (
    "SendMessage",
    "SendMessageBatch",
    "ReceiveMessage",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one service bills."""

    what: str
    count: float
    """Units, calls or records of the whole run."""
    dollars: float


def costs(figures: Figures) -> Sequence[Cost]:
    """What the whole run costs, by service."""
    writes = sum(usage.write_units for usage in figures.units.values())
    reads = sum(usage.read_units for usage in figures.units.values())
    calls = sum(figures.calls.get(name, 0) for name in _QUEUE_CALLS)
    events, records = figures.published, figures.delivered
    return (
        Cost("DynamoDB write units", writes, writes * WRITE_DOLLARS),
        Cost("DynamoDB read units", reads, reads * READ_DOLLARS),
        Cost("SQS calls", calls, calls * SQS_CALL_DOLLARS),
        Cost("EventBridge events", events, events * EVENT_DOLLARS),
        Cost("Firehose records", records, records * _FIREHOSE_RECORD_GB * FIREHOSE_GB_DOLLARS),
    )
