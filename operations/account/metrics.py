"""The newest values of metrics: the age of queues' oldest messages, and a stream's limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aws.client import Client
from operations.account.facts import StreamLimits

_PERIOD_S: Final = 60
_AGE_WITHIN: Final = timedelta(minutes=15)
_LIMITS_WITHIN: Final = timedelta(hours=24)
_LIMITS_PERIOD_S: Final = 300
_STREAM_LIMITS: Final = (
    "BytesPerSecondLimit",
    "RecordsPerSecondLimit",
    "PutRequestsPerSecondLimit",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric with one dimension."""

    namespace: str
    name: str
    dimension: str
    value: str


async def oldest_ages(cloudwatch: Client, queues: Sequence[str]) -> Mapping[str, float]:
    """The age in seconds of the oldest message of each queue that has had one of late."""
    asked = [
        Metric(
            namespace="AWS/SQS",
            name="ApproximateAgeOfOldestMessage",
            dimension="QueueName",
            value=queue,
        )
        for queue in queues
    ]
    values = await _newest(cloudwatch, asked, "Maximum", _PERIOD_S, _AGE_WITHIN)
    return {queue: age for queue, age in zip(queues, values, strict=True) if age is not None}


async def stream_limits(cloudwatch: Client, stream: str) -> StreamLimits:
    """What a stream takes now: AWS publishes its limits as metrics, and moves them on request."""
    asked = [
        Metric(namespace="AWS/Firehose", name=name, dimension="DeliveryStreamName", value=stream)
        for name in _STREAM_LIMITS
    ]
    byte_rate, record_rate, request_rate = await _newest(
        cloudwatch, asked, "Minimum", _LIMITS_PERIOD_S, _LIMITS_WITHIN
    )
    return StreamLimits(byte_rate=byte_rate, record_rate=record_rate, request_rate=request_rate)


async def _newest(
    cloudwatch: Client, metrics: Sequence[Metric], statistic: str, period_s: int, within: timedelta
) -> list[float | None]:
    now = datetime.now(UTC)
    answer = await cloudwatch.call(
        "GetMetricData",
        MetricDataQueries=[
            {
                "Id": f"m{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": metric.namespace,
                        "MetricName": metric.name,
                        "Dimensions": [{"Name": metric.dimension, "Value": metric.value}],
                    },
                    "Period": period_s,
                    "Stat": statistic,
                },
            }
            for number, metric in enumerate(metrics)
        ],
        StartTime=now - within,
        EndTime=now,
        ScanBy="TimestampDescending",
    )
    results: Mapping[str, Any] = {r["Id"]: r for r in answer.get("MetricDataResults", ())}
    values = [results.get(f"m{n}", {}).get("Values", ()) for n in range(len(metrics))]
    return [float(found[0]) if found else None for found in values]
