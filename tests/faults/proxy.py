"""The proxy that injects faults on the wire, with a record of the calls and gates to hold them.

async with FaultProxy(emulator.endpoint_url) as proxy:
    proxy.add(Fault("PutEvents", FailEntries(positions=[0, 4])))
    with proxy.hold("TransactWriteItems", "forwarded") as gate:
        ...  # run something whose clients use proxy.endpoint_url, from any process
        call = await gate.reached()
"""

from collections.abc import Collection

from local.faults import proxy
from local.faults.actions import Fault
from local.faults.calls import Call, Stage, operation_name
from tests.faults.calls import Gate, Recorder, Where


class FaultProxy(proxy.FaultProxy):
    """Keeps the calls in order of arrival, or with `keeps_calls=False` only counts them."""

    def __init__(
        self,
        upstream_url: str,
        *,
        faults: Collection[Fault] = (),
        seed: int = 0,
        keeps_calls: bool = True,
    ) -> None:
        super().__init__(upstream_url, faults=faults, seed=seed)
        self._recorder = Recorder(keeps_calls=keeps_calls)
        self._gates: list[Gate] = []

    @property
    def calls(self) -> list[Call]:
        """All calls in order of arrival; raises LookupError with `keeps_calls=False`."""
        return self._recorder.calls

    def calls_of(self, operation: str) -> list[Call]:
        """List the calls of one operation in order of arrival."""
        name = operation_name(operation)
        return [call for call in self._recorder.calls if call.operation == name]

    def count(self, operation: str, stage: Stage = "arrived") -> int:
        """Count the calls of an operation that have got to a stage."""
        return self._recorder.counts[operation_name(operation), stage]

    def forget(self) -> None:
        """Empty the record, and start counting from zero."""
        self._recorder.forget()

    def hold(self, operation: str, stage: Stage = "arrived", where: Where | None = None) -> Gate:
        """Hold the calls of an operation from now on, before or after they take effect."""
        gate = Gate(operation, stage, where)
        self._gates = [other for other in self._gates if not other.is_open]
        self._gates.append(gate)
        return gate

    async def reached(
        self,
        operation: str,
        stage: Stage = "arrived",
        *,
        count: int = 1,
        where: Where | None = None,
        timeout_s: float = 30.0,
    ) -> Call:
        """Wait until the `count`-th call in the record gets to a stage; raises TimeoutError.

        With `keeps_calls=False` there is no record, and only calls from now on count.
        """
        return await self._recorder.reached(operation, stage, count, where, timeout_s)

    async def _goes_on(self, call: Call, stage: Stage) -> bool:
        self._recorder.note(call, stage)
        for gate in tuple(self._gates):
            if not await gate.passes(call, stage):
                return False
        return True
