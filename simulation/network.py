"""What lies between a node and the services: delays, cuts, and calls that go wrong."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from random import Random
from typing import Final, TypeAlias, TypeVar

import orjson

from aws.client import ClientOptions
from aws.errors import Transient
from aws.lean.answer import Answer
from simulation.aws.account import Account
from simulation.aws.cloud import Cloud, Respond
from simulation.client import Transport
from simulation.loop import START_S, VirtualLoop
from simulation.scenario import Kind, Latencies, Noise, Outage, Scenario, Service

Handle: TypeAlias = Callable[[str, bytes, Respond], None]
"""Takes a call: its `X-Amz-Target`, its body, and where the answer goes."""

_RECEIVED: Final = b'"ReceiptHandle"'
_BREAKS_AFTER_S: Final = 0.05
"""A refused or broken connection is noticed this long after the call."""
_LATE_BY_S: Final = 5.0
"""A late call takes effect within this time after its caller has given up."""
_AGAIN_WITHIN_S: Final = 1.0
"""A call that arrives twice does so within this time."""
_NO_CONNECTION: Final = ("EndpointConnectionError", "could not connect")
_BROKEN: Final = ("ConnectionClosedError", "the connection was closed before the answer")
_TIMED_OUT: Final = ("ReadTimeoutError", "no answer in time")


def _error(status: int, code: str) -> Answer:
    return Answer(status, b"", orjson.dumps({"__type": code, "message": "a simulated fault"}))


_THROTTLED: Final = _error(400, "ThrottlingException")
_REJECTED: Final = _error(400, "ValidationException")
_FAILED: Final = {
    Service.DYNAMODB: _error(500, "InternalServerError"),
    Service.SQS: _error(500, "InternalFailure"),
    Service.EVENTS: _error(503, "ServiceUnavailable"),
}
_LONGEST_ROUND_TRIP_S: Final = 2.0
"""What takes longer is a fault, and those are drawn by themselves: a process that is asked to stop
while one of its calls takes ten seconds cannot end in time, and is not to blame."""
_ENTRY_CODES: Final = {
    Service.DYNAMODB: ("ThrottlingError", "InternalServerError", "TransactionConflict"),
    Service.SQS: ("InternalError",),
    Service.EVENTS: ("InternalFailure", "ThrottlingException"),
}
_SERVICE_OF_ENTRIES: Final = {
    "BatchExecuteStatement": Service.DYNAMODB,
    "BatchGetItem": Service.DYNAMODB,
    "PutEvents": Service.EVENTS,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: its name, and its way to pay for a call and for the messages that it brought."""

    node: str
    name: str
    """Of the process; a node's next one has another."""
    spend: Callable[[int], None]


class _Call:
    """One call under way, and what its caller will hear of it."""

    def __init__(
        self,
        loop: VirtualLoop,
        service: Service,
        operation: str,
        goes_wrong: Kind | None,
        back_s: float,
    ) -> None:
        self.answered: asyncio.Future[Answer] = loop.create_future()
        self._loop = loop
        self._service = service
        self._operation = operation
        self._goes_wrong = goes_wrong
        self._back_s = back_s

    def respond(self, status: int, document: bytes) -> None:
        """Send the answer back, or what becomes of it."""
        match self._goes_wrong:
            case Kind.UNANSWERED:
                self._loop.call_in_the_world(self._back_s, self.fail, *_BROKEN)
                return
            case Kind.FAILED | Kind.FAILED_AFTER:
                answer = _FAILED[self._service]
            case Kind.THROTTLED:
                answer = _THROTTLED
            case Kind.REJECTED:
                answer = _REJECTED
            case _:
                answer = Answer(status, b"", document)
        self._loop.call_in_the_world(self._back_s, self._answer, answer)

    def fail(self, code: str, text: str) -> None:
        """End the call without an answer."""
        if not self.answered.done():
            self.answered.set_exception(Transient(self._service, self._operation, code, text))

    def _answer(self, answer: Answer) -> None:
        if not self.answered.done():
            self.answered.set_result(answer)


class Network:
    """Carries calls to the model and answers back; what happens to each is drawn from a seed."""

    def __init__(
        self, loop: VirtualLoop, account: Account, scenario: Scenario, random: Random
    ) -> None:
        self._loop = loop
        self._account = account
        self._handle: Handle = _nobody
        self._random = random
        latencies = scenario.latencies
        self._sigma = latencies.sigma
        self._mu = {service: log(_median_s(latencies, service)) for service in Service}
        self._transaction_mu = log(latencies.transaction_s)
        self._outages = _by_service(
            [fault for fault in scenario.faults if isinstance(fault, Outage)]
        )
        self._noises = _by_service([fault for fault in scenario.faults if isinstance(fault, Noise)])

    def connect(self, cloud: Cloud) -> None:
        """Connect the services."""
        self._handle = cloud.handle

    def transport(self, caller: Caller, service: Service, options: ClientOptions) -> Transport:
        """A client's way to one service, with its own connections and patience."""
        slots = asyncio.Semaphore(options.max_connections)

        async def carry(target: str, body: bytes) -> Answer:
            async with slots:
                answer = await self._carry(caller, service, options, target, body)
                caller.spend(answer.body.count(_RECEIVED))
                return answer

        return carry

    def transaction_s(self) -> float:
        """Draw how long a transaction holds its items."""
        return self._random.lognormvariate(self._transaction_mu, self._sigma)

    def entry_fault(self, operation: str) -> str | None:
        """Decide whether one entry of a batch fails alone, and by which code."""
        service = _SERVICE_OF_ENTRIES.get(operation, Service.SQS)
        now_s = self._loop.time() - START_S
        for noise in self._noises[service]:
            if noise.kind is Kind.ENTRIES and self._strikes(noise, now_s):
                return self._random.choice(_ENTRY_CODES[service])
        return None

    async def _carry(
        self, caller: Caller, service: Service, options: ClientOptions, target: str, body: bytes
    ) -> Answer:
        loop, operation = self._loop, target.rpartition(".")[2]
        kind = self._what_goes_wrong(caller, service, operation)
        out_s = back_s = self._round_trip_s(service) / 2
        call = _Call(loop, service, operation, kind, back_s)

        def arrive(respond: Respond) -> None:
            self._account.caller = caller.name
            self._handle(target, body, respond)

        match kind:
            case Kind.REFUSED:
                loop.call_in_the_world(_BREAKS_AFTER_S, call.fail, *_NO_CONNECTION)
            case Kind.THROTTLED | Kind.FAILED | Kind.REJECTED:
                loop.call_in_the_world(out_s, call.respond, 0, b"")
            case Kind.LATE:
                late_s = options.read_timeout_s + self._random.uniform(0, _LATE_BY_S)
                loop.call_in_the_world(late_s, arrive, call.respond)
            case Kind.LOST:
                pass
            case _:
                loop.call_in_the_world(out_s, arrive, call.respond)
        if kind is Kind.TWICE:
            again_s = out_s + self._random.uniform(0, _AGAIN_WITHIN_S)
            loop.call_in_the_world(again_s, arrive, _ignore)
        patience = loop.call_in_the_world(options.read_timeout_s, call.fail, *_TIMED_OUT)
        try:
            return await call.answered
        finally:
            patience.cancel()

    def _what_goes_wrong(self, caller: Caller, service: Service, operation: str) -> Kind | None:
        now_s = self._loop.time() - START_S
        for outage in self._outages[service]:
            if (
                outage.from_s <= now_s < outage.until_s
                and outage.node in {None, caller.node}
                and outage.operation in {None, operation}
            ):
                return outage.kind
        for noise in self._noises[service]:
            if noise.kind is not Kind.ENTRIES and self._strikes(noise, now_s):
                return noise.kind
        return None

    def _strikes(self, noise: Noise, now_s: float) -> bool:
        return noise.from_s <= now_s < noise.until_s and self._random.random() < noise.probability

    def _round_trip_s(self, service: Service) -> float:
        drawn_s = self._random.lognormvariate(self._mu[service], self._sigma)
        return min(drawn_s, _LONGEST_ROUND_TRIP_S)


def _nobody(target: str, _body: bytes, _respond: Respond) -> None:
    raise RuntimeError(f"no services are connected: {target}")


def _ignore(_status: int, _document: bytes) -> None:
    pass


def _median_s(latencies: Latencies, service: Service) -> float:
    return {
        Service.SQS: latencies.sqs_s,
        Service.DYNAMODB: latencies.dynamodb_s,
        Service.EVENTS: latencies.events_s,
    }[service]


_Timed = TypeVar("_Timed", Outage, Noise)


def _by_service(faults: Sequence[_Timed]) -> dict[Service, list[_Timed]]:
    return {service: [f for f in faults if f.service is service] for service in Service}
