"""One query on Athena: start it, wait for its end, read its pages, stop it when cancelled."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import anyio

from analytics import athena_results
from analytics.engine import LakeError, Progress, QueryFailed
from analytics.results import Column, Row
from aws.client import Client
from aws.errors import AwsError, Fatal, Transient
from runtime.backoff import delay_s

_PAGE_ROWS: Final = 1000
_MEGABYTE: Final = 1_000_000
_STOP_WITHIN_S: Final = 5
_RANDOM: Final = Random()  # noqa: S311 - spreading load, not secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often to ask whether a query has ended, and how often to repeat a throttled call."""

    first_wait_s: float = 0.25
    longest_wait_s: float = 5.0
    attempts: int = 6
    """Tries of one call; each later one waits longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where queries run, and where their results go."""

    database: str
    workgroup: str = "primary"
    output_location: str | None = None
    """`s3://…`; None where the workgroup sets it."""


@dataclass(frozen=True, slots=True)
class Execution:
    """A query that succeeded."""

    query_id: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    scanned_bytes: int
    seconds: float


@dataclass(slots=True)
class Athena:
    """Runs statements through an Athena client."""

    client: Client
    place: Place
    patience: Patience = field(default_factory=Patience)

    async def execute(
        self,
        name: str,
        sql: str,
        arguments: Sequence[str | int] = (),
        progress: Progress | None = None,
    ) -> Execution:
        """Run one statement to its end; raises QueryFailed, LakeError, AwsError.

        A caller who is cancelled stops the query on Athena too, so that it costs nothing more.
        """
        began = perf_counter()
        start = self._start_request(sql, arguments)
        try:
            query_id = await self._start(name, sql, start)
            outcome = await self._wait(name, sql, query_id, began, progress)
        except anyio.get_cancelled_exc_class():
            await self._stop(start)
            raise
        statistics = outcome.get("Statistics", {})
        columns: tuple[Column, ...] = ()
        rows: tuple[Row, ...] = ()
        if outcome.get("StatementType") == "DML":
            columns, rows = await self._pages(query_id, sql)
        return Execution(
            query_id=query_id,
            columns=columns,
            rows=rows,
            scanned_bytes=int(statistics.get("DataScannedInBytes", 0)),
            seconds=perf_counter() - began,
        )

    def _start_request(self, sql: str, arguments: Sequence[str | int]) -> Mapping[str, Any]:
        request: dict[str, Any] = {
            "QueryString": sql,
            # A repeated start with the same token does not start a second query.
            "ClientRequestToken": str(uuid4()),
            "QueryExecutionContext": {"Database": self.place.database},
            "WorkGroup": self.place.workgroup,
        }
        if self.place.output_location is not None:
            request["ResultConfiguration"] = {"OutputLocation": self.place.output_location}
        if arguments:
            request["ExecutionParameters"] = [athena_results.literal(v) for v in arguments]
        return request

    async def _start(self, name: str, sql: str, start: Mapping[str, Any]) -> str:
        try:
            answer = await self._call("StartQueryExecution", **start)
        except Fatal:
            raise  # it is not the statement's fault
        except AwsError as error:
            raise QueryFailed(name, error.message or str(error), sql) from error
        return str(answer["QueryExecutionId"])

    async def _wait(
        self, name: str, sql: str, query_id: str, began: float, progress: Progress | None
    ) -> Mapping[str, Any]:
        asked = 0
        while True:
            answer = await self._call("GetQueryExecution", QueryExecutionId=query_id)
            outcome: Mapping[str, Any] = answer["QueryExecution"]
            state = str(outcome["Status"]["State"])
            if progress is not None:
                scanned = int(outcome.get("Statistics", {}).get("DataScannedInBytes", 0))
                progress(
                    f"{name}: {state} after {perf_counter() - began:.1f} s, "
                    f"{scanned / _MEGABYTE:,.1f} MB scanned"
                )
            if state == "SUCCEEDED":
                return outcome
            if state in {"FAILED", "CANCELLED"}:
                raise QueryFailed(name, _reason(state, outcome["Status"]), sql)
            asked += 1
            await anyio.sleep(
                delay_s(asked, self.patience.first_wait_s, self.patience.longest_wait_s, _RANDOM)
            )

    async def _pages(self, query_id: str, sql: str) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
        rows: list[Row] = []
        columns: tuple[Column, ...] = ()
        page: dict[str, Any] = {}
        while True:
            answer = await self._call(
                "GetQueryResults", QueryExecutionId=query_id, MaxResults=_PAGE_ROWS, **page
            )
            result_set = answer["ResultSet"]
            answers = result_set.get("Rows", [])
            if not page:
                columns = athena_results.columns(result_set["ResultSetMetadata"], sql)
                # The first row of the first page repeats the column names.
                answers = answers[1:]
            rows.extend(athena_results.row(answer_row, columns) for answer_row in answers)
            if not answer.get("NextToken"):
                return columns, tuple(rows)
            page = {"NextToken": answer["NextToken"]}

    async def _stop(self, start: Mapping[str, Any]) -> None:
        """Stop the query started with this token, even if the answer to the start never arrived.

        The same start again, with its token, starts nothing and returns the query's id.
        """
        with (
            anyio.move_on_after(_STOP_WITHIN_S, shield=True),
            # Whether or not it can be stopped, the caller's cancellation goes on.
            suppress(AwsError, LakeError),
        ):
            answer = await self._call("StartQueryExecution", **start)
            await self._call("StopQueryExecution", QueryExecutionId=answer["QueryExecutionId"])

    async def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        return await call(self.client, operation, request, self.patience)


async def call(
    client: Client, operation: str, request: Mapping[str, Any], patience: Patience
) -> dict[str, Any]:
    """Call an operation, again with growing and jittered waits while its failure may pass."""
    attempt = 1
    while True:
        try:
            return await client.call(operation, **request)
        except Transient:
            if attempt >= patience.attempts:
                raise
        wait_s = delay_s(attempt, patience.first_wait_s, patience.longest_wait_s, _RANDOM)
        await anyio.sleep(wait_s)
        attempt += 1


def _reason(state: str, status: Mapping[str, Any]) -> str:
    reason = status.get("StateChangeReason") or status.get("AthenaError", {}).get("ErrorMessage")
    if state == "CANCELLED":
        return f"the query was cancelled: {reason}" if reason else "the query was cancelled"
    return str(reason or "Athena gave no reason")
