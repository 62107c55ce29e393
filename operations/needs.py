"""What a rate of clicks needs of an AWS account: the plan's result, and preflight's yardstick."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What must be there before the event for nothing to bind at its rate."""

    rate: float
    """Clicks a second."""
    seconds: float
    seats: int
    table_write_units: int
    """Write units a second of the table itself."""
    index_write_units: int
    """Write units a second of GSI1."""
    table_read_units: int
    put_events_calls: int
    """PutEvents calls a second."""
    invocations: int
    """Deliveries of EventBridge's rule a second."""
    firehose_bytes: int
    """Bytes a second into the stream."""
    firehose_records: int
    """Records a second into the stream."""
    in_flight_messages: int
    worker_tasks: int
    ingest_tasks: int
    vcpus: float
    """Fargate vCPUs of both services, with room for the deployment that doubles none of them."""
    load_balancer_units: int
    """LCUs to reserve (MinimumLoadBalancerCapacity)."""
    firehose_calls: int
    """PutRecordBatch calls a second into the stream."""
    winners_index_write_units: int
    """Write units a second of GSI2, where winners alone are written."""
