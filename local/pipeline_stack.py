"""The whole product on one machine: embedded AWS, Firehose stand-in, ingest and worker."""

import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from local import programs, start_checks
from local.emulator import environment, ministack, stack
from local.emulator.ministack import Emulator
from local.emulator.stack import StackOutputs
from local.firehose import stand_in
from local.firehose.stand_in import FirehoseStandIn
from local.programs import LineListener, Program

BUFFER_INTERVAL_S: Final = 2.0
"""Instead of the stream's 60 s: nobody at a laptop wants to wait a minute for a file."""
_LOCAL_DEFAULTS: Final = {"RECEIVE_WAIT_S": "2", "ENVIRONMENT": "local", "CORS_ORIGINS": "*"}
"""A short poll, so that Ctrl-C is answered soon; and a page under development may call, wherever it
is served: it must know a token."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """The embedded AWS with the pipeline's resources, and the secret of its users' tokens."""

    emulator: Emulator
    outputs: StackOutputs
    jwt_secret: str


@dataclass(frozen=True, slots=True)
class PipelineStack:
    """Everything that runs, and where."""

    emulator: Emulator
    outputs: StackOutputs
    firehose: FirehoseStandIn
    ingest: Program
    worker: Program
    jwt_secret: str


@asynccontextmanager
async def running(
    directory: Path,
    *,
    report: Callable[[str], None] = lambda _step: None,
    listener: LineListener = lambda _name, _line: None,
) -> AsyncIterator[PipelineStack]:
    """Run all of it until the block ends, its logs in `directory`.

    Raises LocalError, and SettingsError before anything is started.
    """
    async with (
        cloud(directory, report) as clouded,
        running_on(clouded, directory, report=report, listener=listener) as whole,
    ):
        yield whole


@asynccontextmanager
async def cloud(directory: Path, report: Callable[[str], None]) -> AsyncIterator[Cloud]:
    """Run the embedded AWS with the pipeline's resources until the block ends.

    Raises LocalError, and SettingsError before anything is started.
    """
    secret = os.environ.get("JWT_SECRET") or secrets.token_urlsafe(48)
    start_checks.check(secret)
    first = "" if environment.is_built() else " (its first start installs it)"
    report(f"starting the embedded AWS{first}")
    async with ministack.running(directory) as emulator:
        report("deploying infra/pipeline.yaml")
        yield Cloud(emulator, await stack.deploy_pipeline(emulator.connection), secret)


@asynccontextmanager
async def running_on(
    clouded: Cloud,
    directory: Path,
    *,
    report: Callable[[str], None],
    listener: LineListener,
    arrived: Callable[[str], None] = lambda _record: None,
    variables: Mapping[str, str] = MappingProxyType({}),
    is_restarted: bool = False,
) -> AsyncIterator[PipelineStack]:
    """Run the stand-in and the programs on a cloud until the block ends; raises LocalError.

    They end from the front to the back: ingest answers what it accepted, the worker drains, the
    lake gets the last events. `variables` are the programs' own; `arrived` is given each record of
    the lake as it comes. Where `is_restarted`, a worker that is killed is started again.
    """
    emulator, outputs = clouded.emulator, clouded.outputs
    async with stand_in.standing_in(
        emulator.connection,
        outputs.event_bus_name,
        buffer_interval_s=BUFFER_INTERVAL_S,
        arrived=arrived,
    ) as delivery:
        of_both = {**program_environment(emulator, outputs), **variables}
        report("starting the worker and ingest")
        async with (
            programs.running(
                "worker",
                of_both | _port("WORKER_HTTP_PORT"),
                directory / "worker.log",
                listener,
                is_restarted=is_restarted,
            ) as worker,
            programs.running(
                "ingest",
                of_both | _port("INGEST_HTTP_PORT") | _hs256(clouded.jwt_secret),
                directory / "ingest.log",
                listener,
            ) as ingest,
        ):
            yield PipelineStack(emulator, outputs, delivery, ingest, worker, clouded.jwt_secret)


def program_environment(emulator: Emulator, outputs: StackOutputs) -> dict[str, str]:
    """The variables that point a program at the embedded AWS; others pass through."""
    defaults = {n: v for n, v in _LOCAL_DEFAULTS.items() if n not in os.environ}
    return {**defaults, **aws_variables(emulator, outputs)}


def aws_variables(emulator: Emulator, outputs: StackOutputs) -> dict[str, str]:
    """The variables that point any command at the embedded AWS."""
    connection = emulator.connection
    return {
        "AWS_REGION": connection.region,
        "AWS_ENDPOINT_URL": emulator.endpoint_url,
        "AWS_ACCESS_KEY_ID": connection.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": connection.secret_access_key or "",
        "AWS_EC2_METADATA_DISABLED": "true",
        "TABLE_NAME": outputs.table_name,
        "QUEUE_URL": outputs.queue_url,
        "DLQ_URL": outputs.dlq_url,
        "LOST_EVENTS_QUEUE_URL": outputs.lost_events_queue_url,
        "EVENT_BUS_NAME": outputs.event_bus_name,
    }


def _port(variable: str) -> dict[str, str]:
    return {"HTTP_PORT": os.environ.get(variable, "0")}


def _hs256(secret: str) -> dict[str, str]:
    """One way to check tokens, whatever else the caller's environment says."""
    return {"JWT_SECRET": secret, "JWKS_URL": "", "JWT_AUDIENCE": "", "JWT_ISSUER": ""}
