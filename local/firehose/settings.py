"""What the Firehose stand-in must know: which rules have a Firehose target, and each stream."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws.client import Client
from aws.pages import pages
from local.errors import LocalError
from local.firehose import prefixes

_FIREHOSE_ARN: Final = "arn:aws:firehose:"
_BYTES_PER_MEGABYTE: Final = 1024 * 1024
_PAYLOAD_SETTINGS: Final = ("Input", "InputPath", "InputTransformer")
"""The settings of a target that decide which bytes it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirehoseTarget:
    """A rule's target that is a Firehose stream."""

    event_bus_name: str
    rule_name: str
    target_id: str
    stream_name: str
    payload: Mapping[str, Any]
    """The target's InputPath and the like, as EventBridge names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """A stream's settings, as far as they decide what lands in S3 and when."""

    name: str
    version: str
    bucket_name: str
    prefix: str
    error_prefix: str
    delimiter: bytes
    buffer_bytes: int
    buffer_interval_s: float


async def firehose_targets(events: Client, event_bus_name: str) -> list[FirehoseTarget]:
    """Find every target of a bus's rules that is a Firehose stream."""
    return [
        FirehoseTarget(
            event_bus_name=event_bus_name,
            rule_name=rule["Name"],
            target_id=target["Id"],
            stream_name=target["Arn"].rsplit("/", 1)[-1],
            payload={name: target[name] for name in _PAYLOAD_SETTINGS if name in target},
        )
        async for rules in pages(events, "ListRules", EventBusName=event_bus_name)
        for rule in rules.get("Rules", ())
        async for targets in pages(
            events, "ListTargetsByRule", EventBusName=event_bus_name, Rule=rule["Name"]
        )
        for target in targets.get("Targets", ())
        if target["Arn"].startswith(_FIREHOSE_ARN)
    ]


async def stream_settings(firehose: Client, stream_name: str) -> StreamSettings:
    """Read a stream's settings; raises LocalError where it does what is not imitated here."""
    response = await firehose.call("DescribeDeliveryStream", DeliveryStreamName=stream_name)
    stream = response["DeliveryStreamDescription"]
    destination = stream["Destinations"][0].get("ExtendedS3DestinationDescription")
    if destination is None:
        raise LocalError(f"stream {stream_name!r} does not deliver to S3")
    if destination.get("CompressionFormat", "UNCOMPRESSED") != "UNCOMPRESSED":
        raise LocalError(f"stream {stream_name!r} compresses, which is not imitated here")
    prefix, error_prefix = destination.get("Prefix", ""), destination.get("ErrorOutputPrefix", "")
    prefixes.evaluate(prefix, 0)  # refuses one that is not imitated now, not at the first object
    if not error_prefix:
        # AWS refuses such a stream; the emulator makes it.
        raise LocalError(f"stream {stream_name!r} needs an ErrorOutputPrefix beside its Prefix")
    hints = destination["BufferingHints"]
    return StreamSettings(
        name=stream_name,
        version=stream["VersionId"],
        bucket_name=destination["BucketARN"].rsplit(":", 1)[-1],
        prefix=prefix,
        error_prefix=error_prefix,
        delimiter=_delimiter(stream_name, destination),
        buffer_bytes=int(hints["SizeInMBs"]) * _BYTES_PER_MEGABYTE,
        buffer_interval_s=float(hints["IntervalInSeconds"]),
    )


def _delimiter(stream_name: str, destination: Mapping[str, Any]) -> bytes:
    processing = destination.get("ProcessingConfiguration", {})
    processors = processing.get("Processors", []) if processing.get("Enabled") else []
    types = [processor["Type"] for processor in processors]
    if set(types) - {"AppendDelimiterToRecord"}:
        raise LocalError(f"stream {stream_name!r} processes its records: {', '.join(types)}")
    return b"\n" if types else b""
