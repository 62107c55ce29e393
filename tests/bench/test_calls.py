"""The price of single calls, with either client."""

import pytest

from aws.client import ClientKind
from bench import calls
from bench.environment import Cores
from bench.stub_process import Stub


@pytest.mark.parametrize("kind", calls.KINDS)
def test_every_operation_of_the_worker_is_measured_and_succeeds(
    stub: Stub, kind: ClientKind
) -> None:
    found = calls.measure(stub, Cores(None, None), kind, 5)

    made = {operation.split()[0] for operation in found}
    assert made == set(stub.figures().calls)
    assert all(microseconds > 0 for microseconds in found.values())
    assert stub.figures().deleted == 250
    assert stub.figures().events == 250


def test_the_table_shows_how_many_times_as_long_the_sdk_takes() -> None:
    runs: list[calls.Run] = [
        {"lean": {"PutEvents of 10": lean}, "aioboto3": {"PutEvents of 10": sdk}}
        for lean, sdk in ((10, 100), (20, 100), (10, 70))
    ]

    (table,) = calls.results(runs).tables

    assert table.rows == [["PutEvents of 10", "100 (70–100)", "10 (10–20)", "7.0"]]  # noqa: RUF001
