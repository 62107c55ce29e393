"""What AWS bills for a load: list prices of us-east-1, on demand (docs/operations.md, "Costs")."""

from dataclasses import dataclass
from typing import Final

MILLION: Final = 1_000_000
WRITE_DOLLARS: Final = 0.625 / MILLION
READ_DOLLARS: Final = 0.125 / MILLION
EVENT_DOLLARS: Final = 1.00 / MILLION
SQS_CALL_DOLLARS: Final = 0.40 / MILLION
FIREHOSE_GB_DOLLARS: Final = 0.029
FIREHOSE_RECORD_GB: Final = 5 / 1024**2
"""Each record is billed as 5 KB at least."""
LOG_DOLLARS: Final = 0.15 / MILLION
"""A click's line of 310 bytes in CloudWatch Logs."""
LAKE_DOLLARS: Final = 0.01 / MILLION
"""An event's share of S3's objects, and of a month's storage."""
TASK_HOUR_DOLLARS: Final = 0.0494
"""A Fargate task of 1 vCPU and 2 GB."""
LOAD_BALANCER_UNIT_HOUR_DOLLARS: Final = 0.008
WARM_WRITE_DOLLARS: Final = 0.00065
"""Each write unit a second above what a table has, once: an hour of a provisioned one (DynamoDB
pricing, "Warm throughput")."""
WARM_READ_DOLLARS: Final = 0.00013


@dataclass(frozen=True, slots=True)
class Cost:
    """What one service bills."""

    what: str
    count: float
    """Units, calls, records or hours."""
    dollars: float


def of_requests(
    *, write_units: float, read_units: float, sqs_calls: float, events: float, records: float
) -> tuple[Cost, ...]:
    """What requests cost by the unit: DynamoDB, SQS, EventBridge and Firehose."""
    return (
        Cost("DynamoDB write units", write_units, write_units * WRITE_DOLLARS),
        Cost("DynamoDB read units", read_units, read_units * READ_DOLLARS),
        Cost("SQS calls", sqs_calls, sqs_calls * SQS_CALL_DOLLARS),
        Cost("EventBridge events", events, events * EVENT_DOLLARS),
        Cost("Firehose records", records, records * FIREHOSE_RECORD_GB * FIREHOSE_GB_DOLLARS),
    )
