"""What outlives the embedded AWS: the lake's files and the report on them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from analytics.engine import LakeError
from analytics.local_engine import LocalEngine
from analytics.parameters import Parameters
from analytics.report.report import write_report
from aws.errors import AwsError
from aws.objects import download_lake
from aws.sdk import open_client
from local.errors import LocalError
from local.pipeline_stack import Cloud
from operations import events
from schema.names import LAKE_ROOT


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the lake and the report's page are."""

    lake_dir: Path
    report: Path


async def keep(cloud: Cloud, directory: Path, since: date) -> Evidence | None:
    """Save the lake and a report on all of it; None where nothing was ever published.

    Raises LocalError.
    """
    lake_dir = directory / "lake"
    try:
        async with open_client("s3", cloud.emulator.connection) as s3:
            await download_lake(s3, cloud.outputs.bucket_name, LAKE_ROOT, lake_dir)
        if not lake_dir.is_dir():
            return None
        parameters = Parameters(
            dt_from=since, dt_to=datetime.now(UTC).date(), capacity=await _capacity_of_each(cloud)
        )
        async with LocalEngine(lake_dir) as engine:
            report = await write_report(engine, directory / "report", parameters)
    except (AwsError, LakeError) as error:
        raise LocalError(f"the lake cannot be kept in {directory}: {error}") from error
    return Evidence(lake_dir, report.page)


async def _capacity_of_each(cloud: Cloud) -> int | None:
    """The capacity that all events have; None where they differ, as a query takes only one."""
    states = await events.listed(cloud.emulator.connection, cloud.outputs.table_name)
    totals = {state.capacity.total for state in states.values() if state.capacity is not None}
    return totals.pop() if len(totals) == 1 else None
