"""An HTTP server that answers as Athena does (and lists a bucket as S3 does), on DuckDB."""

import json
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlparse
from xml.sax.saxutils import escape

import duckdb

from analytics import duckdb_dialect
from analytics.local_engine import LocalEngine
from aws.client import Connection

_TYPES = {
    "VARCHAR": "varchar",
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "DOUBLE": "double",
    "BOOLEAN": "boolean",
    "TIMESTAMP": "timestamp with time zone",
}


@dataclass
class Query:
    """A query as the server knows it."""

    request: dict[str, Any]
    states: Iterator[str]
    state: str = "QUEUED"
    reason: str | None = None
    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: list[list[str | None]] = field(default_factory=list)
    scanned_bytes: int = 0


class Refusal(Exception):
    """An error document in the form of AWS's JSON protocol."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class AthenaStandIn:
    """Keeps queries, answers in Athena's forms, with the states and errors a test asks for.

    Queries run on an embedded engine's database, so that both engines can be compared over the
    wire. It refuses what Athena refuses: a missing token, a wrong number of parameters, more than
    one statement, results before the end.
    """

    def __init__(self, engine: LocalEngine | None = None, folders: Sequence[str] = ()) -> None:
        self.engine = engine
        self.folders = folders
        """Keys of the bucket, for ListObjectsV2."""
        self.states: list[str] = ["QUEUED", "RUNNING", "SUCCEEDED"]
        self.reason: str | None = None
        self.refusals: defaultdict[str, list[Refusal]] = defaultdict(list)
        """Answers to give first, by operation."""
        self.page_rows = 1000
        self.queries: dict[str, Query] = {}
        self.calls: Counter[str] = Counter()
        self.stopped = threading.Event()
        self.started = threading.Event()
        self.answers_late = threading.Event()
        """Set: the first start is carried out, and its answer sent only after a while."""
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers["X-Amz-Target"].split(".")[-1]
                status, answer = stand_in.answer(operation, json.loads(body))
                if stand_in.answers_late.is_set():
                    stand_in.answers_late.clear()
                    self.close_connection = True
                    stand_in.stopped.wait(5)
                self._send(status, "application/x-amz-json-1.1", json.dumps(answer).encode())

            def do_GET(self) -> None:
                query = parse_qs(urlparse(self.path).query)
                self._send(200, "application/xml", stand_in.listing(query).encode())

            def _send(self, status: int, kind: str, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def connection(self) -> Connection:
        return Connection("ap-northeast-2", self.url, "test", "test")

    def answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.calls[operation] += 1
            try:
                if self.refusals[operation]:
                    raise self.refusals[operation].pop(0)
                return 200, getattr(self, f"_{operation}")(request)
            except Refusal as refusal:
                document = {"__type": refusal.code, "Message": refusal.message}
                return refusal.status, document

    def _StartQueryExecution(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        token = request.get("ClientRequestToken", "")
        if len(token) < 32:
            raise Refusal("InvalidRequestException", "ClientRequestToken is too short")
        if request["QueryString"].rstrip().rstrip(";").count(";"):
            raise Refusal("InvalidRequestException", "Only one sql statement is allowed.")
        if request["QueryString"].lstrip().startswith("/*"):
            raise Refusal("InvalidRequestException", "cannot recognize input near '/' '*'")
        query_id = f"00000000-{token[:8]}"
        if query_id not in self.queries:
            self.queries[query_id] = Query(request, iter(self.states))
        self.started.set()
        return {"QueryExecutionId": query_id}

    def _GetQueryExecution(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        query = self._known(request)
        query.state = next(query.states, query.state)
        sql = query.request["QueryString"]
        is_dml = bool(re.match(r"\s*(SELECT|WITH)\b", sql))
        if query.state == "SUCCEEDED" and is_dml:
            self._execute(query)
        status: dict[str, Any] = {"State": query.state}
        if query.state in {"FAILED", "CANCELLED"} and self.reason:
            status["StateChangeReason"] = self.reason
        return {
            "QueryExecution": {
                "QueryExecutionId": request["QueryExecutionId"],
                "Query": sql,
                "StatementType": "DML" if is_dml else "DDL",
                "Status": status,
                "Statistics": {"DataScannedInBytes": query.scanned_bytes},
            }
        }

    def _GetQueryResults(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        query = self._known(request)
        if query.state != "SUCCEEDED":
            raise Refusal("InvalidRequestException", "Query has not yet finished.")
        if request.get("MaxResults", 1000) > 1000:
            raise Refusal("InvalidRequestException", "MaxResults is more than 1000")
        # The header is a row like any other, and takes one place of the first page.
        rows: list[list[str | None]] = [[name for name, _ in query.columns], *query.rows]
        begin = int(request.get("NextToken", "0"))
        end = begin + min(self.page_rows, request.get("MaxResults", 1000))
        answer: dict[str, Any] = {
            "ResultSet": {
                "Rows": [
                    {"Data": [{} if v is None else {"VarCharValue": v} for v in row]}
                    for row in rows[begin:end]
                ],
                "ResultSetMetadata": {
                    "ColumnInfo": [{"Name": name, "Type": kind} for name, kind in query.columns]
                },
            }
        }
        if end < len(rows):
            answer["NextToken"] = str(end)
        return answer

    def _StopQueryExecution(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        query = self._known(request)
        query.states = iter(["CANCELLED"])
        self.stopped.set()
        return {}

    def _known(self, request: dict[str, Any]) -> Query:
        if request["QueryExecutionId"] not in self.queries:
            raise Refusal("InvalidRequestException", "QueryExecution was not found")
        return self.queries[request["QueryExecutionId"]]

    def _execute(self, query: Query) -> None:
        sql, parameters = query.request["QueryString"], query.request.get("ExecutionParameters", [])
        if self.engine is None:
            return
        translated = duckdb_dialect.translate(sql)
        cursor = self.engine._connection.cursor()
        cursor.execute("SET integer_division = true")
        values = [cursor.execute(f"SELECT {text}").fetchall()[0][0] for text in parameters]
        try:
            cursor.execute(translated, values)
        except duckdb.Error as error:
            query.state, self.reason = "FAILED", str(error)
            return
        # Athena lowers the names of the columns.
        query.columns = [(name.lower(), _TYPES[str(kind)]) for name, kind, *_ in cursor.description]
        query.rows = [[_text(value) for value in row] for row in cursor.fetchall()]
        days = [value for value in values if re.fullmatch(r"\d{4}-\d\d-\d\d", str(value))]
        (read,) = cursor.execute(
            "SELECT count(*) FROM participation_logs WHERE dt BETWEEN ? AND ?", days[:2]
        ).fetchall()[0]
        query.scanned_bytes = 400 * read

    def listing(self, query: dict[str, list[str]]) -> str:
        prefix, delimiter = query["prefix"][0], query.get("delimiter", [""])[0]
        self.calls["ListObjectsV2"] += 1
        found = sorted(
            {
                prefix + key[len(prefix) :].split(delimiter)[0] + delimiter
                for key in self.folders
                if key.startswith(prefix)
            }
        )
        begin = int(query.get("continuation-token", ["0"])[0])
        more = begin + 2 < len(found)
        token = f"<NextContinuationToken>{begin + 2}</NextContinuationToken>" if more else ""
        prefixes = "".join(
            f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>"
            for key in found[begin : begin + 2]
        )
        return (
            '<?xml version="1.0"?><ListBucketResult>'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{prefixes}</ListBucketResult>"
        )


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d} UTC"
    return str(value)


@contextmanager
def standing_in(lake: Path | None = None, folders: Sequence[str] = ()) -> Iterator[AthenaStandIn]:
    """Run the server, on the lines of a lake where one is given."""
    if lake is None:
        with AthenaStandIn(folders=folders) as server:
            yield server
        return
    engine = LocalEngine(lake)
    try:
        with AthenaStandIn(engine, folders) as server:
            yield server
    finally:
        engine.close()
