"""An HTTP proxy between AWS's clients and the embedded AWS, which injects faults on the wire.

One proxy serves all services. That holds for SQS too: botocore speaks JSON to the client's
endpoint and sends the queue URL as a parameter only, so the queue URLs that the emulator hands
out, with its own host and port, do not lead past the proxy.
"""

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Collection
from random import Random
from time import monotonic
from types import TracebackType
from typing import Final, Self

import anyio

from local.faults import http1
from local.faults.actions import Ending, Fault, Plan, Target
from local.faults.calls import Call, Outcome, Stage, operation_name
from local.faults.http1 import Message
from local.faults.upstream import Unreachable, Upstream

_BUFFER_BYTES: Final = 2**20
_BACKLOG: Final = 1024


class Injection:
    """A fault in force; leaving the context removes it."""

    def __init__(self, fault: Fault, faults: "list[Injection]") -> None:
        self.fault = fault
        self.hits = 0
        """How many calls it has struck."""
        self._operation = operation_name(fault.operation)
        self._faults = faults

    def remove(self) -> None:
        """End the fault for calls to come; removing twice is harmless."""
        if self in self._faults:
            self._faults.remove(self)

    def plan(self, target: Target) -> Plan | None:
        """Plan for a call, or None where the fault does not strike it."""
        fault = self.fault
        if self._operation not in ("*", target.operation):
            return None
        if fault.service not in ("*", target.service):
            return None
        if fault.times is not None and self.hits >= fault.times:
            return None
        if fault.where is not None and not fault.where(target.document):
            return None
        if fault.probability < 1 and target.random.random() >= fault.probability:
            return None
        plan = fault.action.plan(target)
        if plan is not None:
            self.hits += 1
        return plan

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


class FaultProxy:
    """Forwards every call to the emulator, but for the faults in force.

    Of several faults that match a call, the first added applies. `seed` makes the dice
    repeatable as far as the order of the calls is.
    """

    def __init__(self, upstream_url: str, *, faults: Collection[Fault] = (), seed: int = 0) -> None:
        self._upstream = Upstream(upstream_url)
        self._random = Random(seed)  # noqa: S311 - dice, no secret
        self._injections: list[Injection] = []
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        for fault in faults:
            self.add(fault)

    @property
    def endpoint_url(self) -> str:
        """Where clients reach the proxy."""
        assert self._server is not None, "the proxy is not running"  # noqa: S101 - a wrong use
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    def add(self, fault: Fault) -> Injection:
        """Put a fault in force."""
        injection = Injection(fault, self._injections)
        self._injections.append(injection)
        return injection

    def clear(self) -> None:
        """Remove all faults; calls already struck stay so."""
        self._injections.clear()

    async def __aenter__(self) -> Self:
        # The connections are asyncio's own tasks, kept here and awaited at the end, and not those
        # of a task group: the two halves of a pytest fixture run in different tasks, and a task
        # group has to be left by the one that entered it.
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=_BUFFER_BYTES, backlog=_BACKLOG
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None  # noqa: S101 - it was entered
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        self._upstream.close()
        if self._failures and error is None:
            raise self._failures[0]

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None  # noqa: S101 - a server's callback is a task
        self._connections.add(connection)
        try:
            while (head := await http1.read_head(reader)) is not None:
                if head.header("Expect") is not None:
                    writer.write(http1.CONTINUE)
                    head = head.without("Expect")
                message = await http1.read_request_body(reader, head)
                if not await self._serve_call(message, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        except Exception as failure:
            self._failures.append(failure)
            raise
        finally:
            self._connections.discard(connection)
            writer.close()

    async def _serve_call(
        self, message: Message, reader: StreamReader, writer: StreamWriter
    ) -> bool:
        """Serve one call; False where the connection has ended with it."""
        call = _call(message)
        try:
            ending = await self._carry_out(call)
        except Unreachable:
            await _end(Ending.RESET, call, reader, writer)
            call.outcome = "unreachable"
        else:
            call.outcome = await _end(ending, call, reader, writer)
        if call.outcome == "answered":
            await self._goes_on(call, "answered")
        return call.outcome == "answered"

    async def _carry_out(self, call: Call) -> Ending:
        """Take a call to the emulator and back; returns how it ends for the client."""
        if not await self._goes_on(call, "arrived"):
            return Ending.RESET
        plan = self._plan(call)
        if plan.delay_before_s:
            await anyio.sleep(plan.delay_before_s)
        if plan.forward is not None:
            answer = await self._upstream.exchange(plan.forward)
            call.forwarded_s = monotonic()
            call.answer = plan.amend(answer) if plan.amend is not None else answer
            if not await self._goes_on(call, "forwarded"):
                return Ending.RESET
        else:
            call.answer = plan.answer
        if plan.delay_after_s:
            await anyio.sleep(plan.delay_after_s)
        return plan.ending

    async def _goes_on(self, _call: Call, _stage: Stage) -> bool:
        """Whether a call that has got to a stage goes on; False to reset it."""
        return True

    def _plan(self, call: Call) -> Plan:
        if self._injections:
            target = Target(call.service, call.operation, call.sent, call.request, self._random)
            for injection in self._injections:
                if (plan := injection.plan(target)) is not None:
                    call.fault = injection.fault
                    return plan
        return Plan(call.sent)


def _call(message: Message) -> Call:
    target = message.header("X-Amz-Target")
    if target is not None:
        service, _, operation = target.rpartition(".")
        return Call(service, operation, message)
    # Credential=<key>/<date>/<region>/<service>/aws4_request
    scope = (message.header("Authorization") or "").partition(",")[0].split("/")
    return Call("".join(scope[3:4]), message.method, message)


async def _end(ending: Ending, call: Call, reader: StreamReader, writer: StreamWriter) -> Outcome:
    if reader.at_eof():
        return "gone"
    if ending is Ending.HANG:
        await reader.read(1)
        return "hang"
    if ending is Ending.RESET:
        _reset(writer)
        return "reset"
    assert call.answer is not None  # noqa: S101 - a plan to answer has one
    wire = call.answer.wire
    if ending is Ending.CUT:
        whole = len(call.answer.head) + len(call.answer.body) // 2
        writer.write(wire[: whole if call.answer.body else len(wire) // 2])
        await writer.drain()
        return "cut"
    writer.write(wire)
    await writer.drain()
    return "answered"


def _reset(writer: StreamWriter) -> None:
    """Close with RST instead of FIN: a connection that broke, and not one that was closed."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
