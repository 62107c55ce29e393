"""The way to the model of AWS in unit tests: it takes note of calls, and some go wrong."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import anyio
import orjson

from aws.errors import Transient
from aws.lean.answer import Answer
from simulation.aws import errors
from simulation.aws.cloud import Cloud
from simulation.aws.errors import ServiceError
from simulation.client import direct
from simulation.scenario import Kind

LATE_S: Final = 5.0
"""A late call takes effect so long after its caller has given up."""

THROTTLED: Final = ServiceError("ThrottlingException", "slow down")
DENIED: Final = ServiceError("AccessDeniedException", "no")
INVALID: Final = ServiceError("ValidationException", "no")
CONFLICT: Final = errors.transaction_cancelled([{"Code": "TransactionConflict"}])

Fault: TypeAlias = Kind | Exception | None
"""How one call goes wrong: on its way (REFUSED, LOST, UNANSWERED, LATE), by a refusal that AWS
answers with, or by an error that nobody foresaw."""

_ON_THE_WAY: Final = {
    Kind.REFUSED: ("EndpointConnectionError", "could not connect"),
    Kind.LOST: ("ReadTimeoutError", "no answer in time"),
    Kind.LATE: ("ReadTimeoutError", "no answer in time"),
    Kind.UNANSWERED: ("ConnectionClosedError", "the connection was closed before the answer"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call that somebody made, whatever became of it."""

    at_s: float
    operation: str
    parameters: Mapping[str, Any]


class Wire:
    """Carries calls to the model; what goes wrong is scripted by operation."""

    def __init__(self, cloud: Cloud) -> None:
        self.faults: dict[str, Iterator[Fault]] = {}
        """What happens to the next calls; those after them succeed.

        By operation; calls of BatchExecuteStatement also by their statements' verb, `INSERT` or
        `UPDATE`, where there is an entry for it.
        """
        self.entry_faults: dict[str, Iterator[str | None]] = {}
        """The error codes of the next entries of batches; those after them succeed."""
        self.each_way_s: dict[str, float] = {}
        """How long a call takes to arrive, and its answer to come back; by the same names."""
        self.calls: list[Call] = []
        self.under_way: Counter[str] = Counter()
        self.most_under_way: Counter[str] = Counter()
        self._cloud = cloud
        self._direct = direct(cloud)

    @property
    def asked(self) -> Counter[str]:
        """How often each operation was called."""
        return Counter(call.operation for call in self.calls)

    def calls_of(self, operation: str) -> list[Call]:
        """The calls of one operation, in order."""
        return [call for call in self.calls if call.operation == operation]

    def entry_fault(self, operation: str) -> str | None:
        """As `Account.entry_fault`."""
        return next(self.entry_faults.get(operation, iter(())), None)

    async def carry(self, service: str, target: str, body: bytes) -> Answer:
        """Carry one call; raises Transient where no answer comes back."""
        operation = target.rpartition(".")[2]
        parameters = orjson.loads(body)
        self.calls.append(Call(anyio.current_time(), operation, parameters))
        under_way = self.under_way
        under_way[operation] += 1
        self.most_under_way[operation] = max(under_way[operation], self.most_under_way[operation])
        try:
            return await self._carry(service, _name(operation, parameters), target, body)
        finally:
            under_way[operation] -= 1

    async def _carry(self, service: str, name: str, target: str, body: bytes) -> Answer:
        operation = target.rpartition(".")[2]
        never: Iterator[Fault] = iter(())
        fault = next(self.faults.get(name, self.faults.get(operation, never)), None)
        each_way_s = self.each_way_s.get(name, self.each_way_s.get(operation, 0.0))
        await anyio.sleep(each_way_s)
        match fault:
            case ServiceError():
                return Answer(fault.status, b"", orjson.dumps(fault.document))
            case Exception():
                raise fault
            case Kind.LATE:
                loop = asyncio.get_running_loop()
                loop.call_later(LATE_S, self._cloud.handle, target, body, _ignore)
            case None | Kind.UNANSWERED:
                answer = await self._direct(target, body)
                await anyio.sleep(each_way_s)
                if fault is None:
                    return answer
        assert isinstance(fault, Kind)
        raise Transient(service, operation, *_ON_THE_WAY[fault])


def _name(operation: str, parameters: Mapping[str, Any]) -> str:
    """The operation, or its statements' verb."""
    if operation != "BatchExecuteStatement":
        return operation
    return str(parameters["Statements"][0]["Statement"]).partition(" ")[0]


def _ignore(_status: int, _document: bytes) -> None:
    pass
