"""An HTTP server that answers as AWS does with values that a test gives.

For services that the embedded AWS lacks. Requests and answers are held against the SDK's own
models: a field that a service does not have, on either side, fails the test.
"""

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import uuid4
from xml.sax.saxutils import escape

import botocore.session
from botocore.model import OperationModel
from botocore.validate import ParamValidator

from aws.client import Connection
from tests.aws.forms import as_json, as_xml, of_query

REGION: Final = "ap-northeast-2"
ACCOUNT: Final = "123456789012"
ROLE: Final = f"arn:aws:sts::{ACCOUNT}:assumed-role/operator/kim"
_SERVICES: Final = {
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
}
"""The SDK's names of services that sign by another name."""
_SCOPE: Final = re.compile(r"Credential=[^/]+/\d+/[\w-]+/([\w-]+)/aws4_request")

Document = dict[str, Any]


class Refusal(Exception):
    """An error document of AWS."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class CutOff(Exception):
    """The connection ends without an answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that came."""

    service: str
    operation: str
    parameters: Document

    @property
    def name(self) -> str:
        return f"{self.service}.{self.operation}"


Answer = Document | Exception | Callable[[Document], Document]


@dataclass(slots=True)
class StandIn:
    """What is answered to which call, and which calls came."""

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    """By `service.Operation`, or by `*` for every call without an answer of its own."""
    calls: list[Call] = field(default_factory=list)
    asked_over_http: list[tuple[str, str]] = field(default_factory=list)
    """Path and authorization of each GET, which is none of an AWS that this server knows."""
    faults: list[str] = field(default_factory=list)
    """What the SDK's models do not know; the block of `standing_in` ends with an error for them."""
    denies_all: bool = False
    """Whether the caller's role lacks every permission."""
    date_ahead_s: float = 0.0
    """How far the answers' Date is ahead of this machine's clock."""

    @property
    def connection(self) -> Connection:
        return Connection(REGION, self.url, "test", "test")

    @property
    def variables(self) -> dict[str, str]:
        """The variables that lead a command here."""
        return {
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }

    def parameters_of(self, name: str) -> list[Document]:
        """What was asked of one operation."""
        return [call.parameters for call in self.calls if call.name == name]

    def answer(self, call: Call) -> Document:
        self.calls.append(call)
        if self.denies_all:
            raise denied(f"{call.service}:{call.operation}", f"arn:aws:{call.service}:::it")
        answer = self.answers.get(call.name, self.answers.get("*"))
        if answer is None:
            raise Refusal("NotImplemented", f"the test has no answer for {call.name}", 501)
        if isinstance(answer, Exception):
            raise answer
        return answer(call.parameters) if callable(answer) else answer


def denied(action: str, resource: str = "*") -> Refusal:
    """AWS's words for a role that lacks a permission."""
    on = "" if resource == "*" else f" on resource: {resource}"
    return Refusal(
        "AccessDeniedException",
        f"User: {ROLE} is not authorized to perform: {action}{on} because no identity-based "
        f"policy allows the {action} action",
    )


@contextmanager
def standing_in() -> Iterator[StandIn]:
    """Run the server on a free port of loopback."""
    stand_in = StandIn()

    class Handler(_Handler):
        of = stand_in

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            fault = sys.exception()
            if not isinstance(fault, ConnectionError):  # a client that no longer waits
                stand_in.faults.append(repr(fault))

    server = Server(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert stand_in.faults == []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    of: StandIn

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        scope = _SCOPE.search(self.headers["Authorization"])
        assert scope is not None
        service = _SERVICES.get(scope[1], scope[1])
        target = self.headers.get("X-Amz-Target")
        try:
            if target is not None:
                call = Call(service, target.rpartition(".")[2], json.loads(body))
                model = _model(service, call.operation)
            else:
                fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
                model = _model(service, fields["Action"])
                call = Call(service, model.name, of_query(fields, model.input_shape, ""))
            _check(call, model)
            answer = self.of.answer(call)
            content = _content(answer, model, is_json=target is not None)
            self._send(200, content, is_json=target is not None)
        except Refusal as refusal:
            content = _refused(refusal, is_json=target is not None)
            self._send(refusal.status, content, is_json=target is not None)
        except CutOff:
            self.close_connection = True
        except AssertionError as fault:
            self.of.faults.append(str(fault))
            self.close_connection = True

    def do_GET(self) -> None:
        """S3, which this server knows only to refuse, in the words of S3."""
        self.of.asked_over_http.append((self.path, self.headers.get("Authorization", "")))
        refusal = Refusal("AccessDenied", "Access Denied", 403)
        xml = f"<Error><Code>{refusal.code}</Code><Message>{refusal.message}</Message></Error>"
        self._send(refusal.status, xml.encode(), is_json=False)

    def _send(self, status: int, content: bytes, *, is_json: bool) -> None:
        self.send_response_only(status)
        self.send_header("Date", formatdate(time() + self.of.date_ahead_s, usegmt=True))
        self.send_header("Content-Type", "application/x-amz-json-1.1" if is_json else "text/xml")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-amzn-RequestId", str(uuid4()))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@cache
def _model(service: str, operation: str) -> OperationModel:
    return botocore.session.get_session().get_service_model(service).operation_model(operation)


def _check(call: Call, model: OperationModel) -> None:
    shape = model.input_shape
    if shape is not None:
        report = ParamValidator().validate(call.parameters, shape)
        unknown = sorted(call.parameters.keys() - shape.members.keys())
        assert not report.has_errors(), f"{call.name}: {report.generate_report()}"
        assert not unknown, f"{call.name} does not take {unknown}"


def _content(answer: Mapping[str, Any], model: OperationModel, *, is_json: bool) -> bytes:
    shape = model.output_shape
    if is_json:
        return json.dumps({} if shape is None else as_json(answer, shape, model.name)).encode()
    inner = "" if shape is None else as_xml(answer, shape, model.name)
    wrapper = "" if shape is None else shape.serialization.get("resultWrapper", "")
    if wrapper:
        inner = f"<{wrapper}>{inner}</{wrapper}>"
    request = f"<ResponseMetadata><RequestId>{uuid4()}</RequestId></ResponseMetadata>"
    return f"<{model.name}Response>{inner}{request}</{model.name}Response>".encode()


def _refused(refusal: Refusal, *, is_json: bool) -> bytes:
    if is_json:
        return json.dumps({"__type": refusal.code, "message": refusal.message}).encode()
    return (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{refusal.code}</Code>"
        f"<Message>{escape(refusal.message)}</Message></Error>"
        f"<RequestId>{uuid4()}</RequestId></ErrorResponse>"
    ).encode()
