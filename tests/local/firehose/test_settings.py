"""Which streams the stand-in refuses at its start, instead of imitating them wrongly."""

from typing import Any

import pytest

from local.errors import LocalError
from local.firehose.settings import stream_settings
from schema.names import LAKE_ERROR_PREFIX, LAKE_PREFIX
from tests.aws.scripted import ScriptedClient


def described(**changes: Any) -> ScriptedClient:
    destination = {
        "BucketARN": "arn:aws:s3:::lake",
        "Prefix": LAKE_PREFIX,
        "ErrorOutputPrefix": LAKE_ERROR_PREFIX,
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 60},
        **changes,
    }
    stream = {
        "VersionId": "1",
        "Destinations": [{"ExtendedS3DestinationDescription": destination}],
    }
    return ScriptedClient([{"DeliveryStreamDescription": stream}])


async def test_the_projects_own_stream_is_taken() -> None:
    assert (await stream_settings(described(), "s")).prefix == LAKE_PREFIX


@pytest.mark.parametrize(
    "changes",
    [
        {"Prefix": "events/"},
        {"ErrorOutputPrefix": ""},
        {"CompressionFormat": "GZIP"},
        {"ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "Lambda"}]}},
    ],
)
async def test_a_stream_that_does_anything_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LocalError):
        await stream_settings(described(**changes), "s")
