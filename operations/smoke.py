"""The smoke test: one request through a deployed pipeline, until the lake shows it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from time import monotonic, time
from typing import Any, Final, TypeVar
from uuid import uuid4

import anyio
import httpx
import orjson

from analytics.athena_engine import AthenaEngine
from analytics.athena_execution import Place as AthenaPlace
from analytics.engine import LakeError
from analytics.parameters import Parameters
from aws.client import Client, Connection
from aws.objects import list_objects, read_object
from aws.sdk import open_client
from aws.table import Table
from config.settings import TokenSettings
from ingest import tokens
from operations import deployment
from operations.templates import SERVICE
from schema.items import Capacity, EventConfig
from schema.names import LAKE_ROOT
from schema.states import EventType

_POLL_S: Final = 1.0
_LAKE_POLL_S: Final = 5.0
_HTTP_TIMEOUT_S: Final = 10.0
_TOKEN_EXPIRES_IN_S: Final = 3_600

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that is done."""

    key: str
    text: str
    seconds: float


StepReport = Callable[[Step], None]


class SmokeError(Exception):
    """A step did not succeed; the text says which, and what was seen instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the deployed pipeline is."""

    ingest_url: str
    table: Table
    s3: Client
    bucket: str
    athena: AthenaEngine | None
    """None: Athena is not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each part may take (seconds)."""

    decision_s: float = 60.0
    lake_s: float = 300.0
    lake_poll_s: float = _LAKE_POLL_S


def issue_token(settings: TokenSettings) -> str:
    """A token of a user who takes part in nothing else."""
    return tokens.issue(
        settings.jwt_secret.get_secret_value(),
        f"smoke-{uuid4()}",
        now_s=time(),
        expires_in_s=_TOKEN_EXPIRES_IN_S,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
    )


async def run_deployed(
    connection: Connection,
    name: str,
    token: str,
    report: StepReport,
    *,
    ingest_url: str | None,
    ask_athena: bool,
) -> None:
    """Run on the pipeline `name`; raises StackError where it is not deployed, else see `run`."""
    async with deployment.opened(connection, name, lambda _line: None) as deployed:
        outputs = await deployed.outputs()
        url = ingest_url or (await deployed.outputs(SERVICE))["IngestUrl"]
    asks = AthenaPlace(database=outputs["Database"], workgroup=outputs["WorkGroup"])
    bucket = outputs["BucketName"]
    async with (
        open_client("dynamodb", connection) as dynamodb,
        open_client("s3", connection) as s3,
        open_client("athena", connection) as athena,
    ):
        engine = AthenaEngine(athena, asks, bucket=bucket, s3=s3, projected=True)
        place = Place(
            ingest_url=url,
            table=Table(dynamodb, outputs["TableName"], Random()),  # noqa: S311 - no secret
            s3=s3,
            bucket=bucket,
            athena=engine if ask_athena else None,
        )
        await run(place, token, report)


async def run(
    place: Place, token: str, report: StepReport, patience: Patience | None = None
) -> None:
    """Send one request of a fresh event with one seat through everything; raises SmokeError."""
    patience = patience or Patience()
    began = datetime.now(UTC)
    event_id = f"smoke-{began:%Y%m%d-%H%M%S-%f}"
    async with _step(report, "eventCreated", f"event {event_id} with one seat created"):
        await place.table.create_event(
            EventConfig(event_id=event_id, event_type=EventType.FIRST_COME),
            Capacity(event_id=event_id, total=1, remaining=1),
        )
    async with httpx.AsyncClient(
        base_url=place.ingest_url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=_HTTP_TIMEOUT_S,
    ) as ingest:
        async with _step(report, "clickAccepted", "click accepted by ingest"):
            request_id = await _click(ingest, event_id)
        async with _step(
            report, "requestDecided", f"request {request_id} decided by a worker: SUCCEEDED"
        ):
            await _until_decided(ingest, request_id, patience.decision_s)
    async with _step(report, "seatTaken", "the seat is taken in the table"):
        capacity = (await place.table.load([], [event_id])).events[event_id].capacity
        if capacity is None or capacity.remaining != 0:
            raise SmokeError(f"the event's seats are {capacity}, not 0 of 1")
    async with _step(report, "eventInLake", f"the event is in s3://{place.bucket}/{LAKE_ROOT}"):
        line = await _until_in_the_lake(place, request_id, began, patience)
        _check_line(line, event_id)
    if place.athena is not None:
        async with _step(report, "countedByAthena", "Athena counts it"):
            await _until_counted(place.athena, event_id, began, patience)


async def _click(ingest: httpx.AsyncClient, event_id: str) -> str:
    answer = await _asked(ingest.post(f"/events/{event_id}/participations"))
    if answer.status_code != httpx.codes.ACCEPTED:
        raise SmokeError(f"ingest answered {answer.status_code}: {answer.text[:500]}")
    return str(answer.json()["requestId"])


async def _until_decided(ingest: httpx.AsyncClient, request_id: str, within_s: float) -> None:
    async def decided() -> str | None:
        answer = await _asked(ingest.get(f"/requests/{request_id}"))
        if answer.status_code != httpx.codes.OK:
            raise SmokeError(f"ingest answered {answer.status_code}: {answer.text[:500]}")
        status = str(answer.json()["status"])
        return None if status in {"RECEIVED", "QUEUED", "PROCESSING"} else status

    status = await _until(decided, within_s, _POLL_S, "no worker decided it")
    if status != "SUCCEEDED":
        raise SmokeError(f"the request ended as {status}")


async def _until_in_the_lake(
    place: Place, request_id: str, began: datetime, patience: Patience
) -> Mapping[str, Any]:
    seen: set[str] = set()

    async def found() -> Mapping[str, Any] | None:
        # The folder names the hour of arrival; a test near its end may see two.
        for prefix in _folders(began, datetime.now(UTC)):
            async for stored in list_objects(place.s3, place.bucket, prefix):
                if stored.key in seen:
                    continue
                for line in (await read_object(place.s3, place.bucket, stored.key)).splitlines():
                    if request_id.encode() in line:
                        document: Mapping[str, Any] = orjson.loads(line)
                        return document
                seen.add(stored.key)
        return None

    return await _until(found, patience.lake_s, patience.lake_poll_s, "it did not reach the lake")


async def _until_counted(
    athena: AthenaEngine, event_id: str, began: datetime, patience: Patience
) -> None:
    async def counted() -> int | None:
        asked = Parameters(dt_from=began.date(), dt_to=datetime.now(UTC).date(), event_id=event_id)
        try:
            return (await athena.run("totals", asked)).count("request_count") or None
        except LakeError as error:
            raise SmokeError(f"{error}; --no-athena leaves this step out") from error

    await _until(counted, patience.lake_s, patience.lake_poll_s, "Athena does not count it")


def _check_line(line: Mapping[str, Any], event_id: str) -> None:
    shown = (line.get("eventId"), line.get("finalStatus"), line.get("resultCode"))
    if shown != (event_id, "SUCCEEDED", "SUCCESS"):
        raise SmokeError(f"the lake's line says {shown}")


def _folders(began: datetime, now: datetime) -> list[str]:
    hours = int((now - began).total_seconds() // 3600) + 1
    # One hour before: Firehose names the folder by its buffer's oldest record.
    moments = (began + timedelta(hours=number) for number in range(-1, hours + 1))
    return [f"{LAKE_ROOT}dt={moment:%Y-%m-%d}/hour={moment:%H}/" for moment in moments]


async def _asked(answer: Awaitable[httpx.Response]) -> httpx.Response:
    try:
        return await answer
    except httpx.HTTPError as error:
        raise SmokeError(f"ingest did not answer: {type(error).__name__}: {error}") from error


async def _until(
    ask: Callable[[], Awaitable[T | None]], within_s: float, poll_s: float, otherwise: str
) -> T:
    """Ask again and again; raises SmokeError when time is up."""
    with anyio.move_on_after(within_s):
        while True:
            if (answer := await ask()) is not None:
                return answer
            await anyio.sleep(poll_s)
    raise SmokeError(f"{otherwise} within {within_s:.0f} s")


@asynccontextmanager
async def _step(report: StepReport, key: str, text: str) -> AsyncIterator[None]:
    """Report that a step is done, and how long it took."""
    began = monotonic()
    yield
    report(Step(key=key, text=text, seconds=monotonic() - began))
