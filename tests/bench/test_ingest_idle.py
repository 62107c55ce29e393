"""The memory of idle connections."""

import resource
from dataclasses import replace

import pytest

from bench import ingest, ingest_idle
from bench.environment import BenchError, Cores
from bench.ingest_idle import IdleMemory, measure, possible
from bench.ingest_services import OURS
from bench.stub_process import Stub

ANYWHERE = Cores(None, None)


def test_open_connections_cost_memory(stub: Stub) -> None:
    found = measure(OURS, 500, stub, ANYWHERE)
    assert (found.wanted, found.connections) == (500, 500)
    assert 1 < found.connection_kb < 100


def test_connections_that_did_not_last_are_an_error_not_a_figure(stub: Stub) -> None:
    impatient = replace(OURS, environment={**OURS.environment, "KEEP_ALIVE_S": "0.1"})
    with pytest.raises(BenchError, match=r"ours has 0 of 20 connections open"):
        measure(impatient, 20, stub, ANYWHERE)


def test_a_low_limit_of_open_files_allows_fewer() -> None:
    assert possible(10_000, resource.RLIM_INFINITY) == 10_000
    assert possible(10_000, 20_000) == 10_000
    assert possible(10_000, 4_096) == 3_840


def test_the_results_show_memory_by_connection_and_why_there_are_fewer() -> None:
    found = IdleMemory(
        service="ours",
        wanted=1_001,
        connections=1_001,
        before_bytes=50 * 2**20,
        with_bytes=50 * 2**20 + 5_000_000,
    )
    table = ingest.section_of([], found).tables[-2]
    assert table.title == "Idle connections"
    assert table.rows == [["ours", "1,001", "50.0", "54.8", "5.0"]]
    fewer = ingest_idle.table(replace(found, wanted=2_000))
    assert fewer.title.endswith("(2,000 wanted; the limit of open files allows no more)")
