"""Measurements of real programs, and the tables made of measurements."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import worker
from bench.contestants import FLOOR, FOREIGN_BODY, NAIVE, NO_OPS, OURS, PIPELINES, Contestant
from bench.environment import BenchError, Cores
from bench.measure import Arena, Measurement, Scenario
from bench.stub_process import Stub
from tests.bench.measured import measured


def arena(stub: Stub) -> Arena:
    return Arena(stub, Cores(None, None), Path(sys.executable))


def few(contestant: Contestant) -> Contestant:
    return replace(contestant, messages=60, messages_when_slow=60)


@pytest.mark.parametrize("contestant", PIPELINES, ids=lambda c: c.name)
def test_every_program_does_the_whole_job(stub: Stub, contestant: Contestant) -> None:
    found = arena(stub).measure(few(contestant), Scenario(1.0, "mixed"), batch=25)
    assert found.messages == 60
    assert found.cpu_s > 0
    assert found.lone_ms is not None
    assert found.lone_ms >= 1
    calls = 0.6 if contestant.uses_batches else 5.2
    assert found.calls_per_message == pytest.approx(calls, rel=0.4)


@pytest.mark.parametrize("seats", worker.SEATS)
@pytest.mark.parametrize("contestant", [OURS, FLOOR], ids=lambda c: c.name)
def test_the_largest_batches_are_decided_whatever_seats_there_are(
    stub: Stub, contestant: Contestant, seats: str
) -> None:
    many = replace(contestant, messages=990)
    found = arena(stub).measure(many, Scenario(0.0, seats), batch=max(worker.BATCHES))
    assert found.messages == 990


def test_our_receive_and_delete_need_two_calls_for_ten_messages(stub: Stub) -> None:
    found = arena(stub).measure(few(NO_OPS[0]), Scenario(0.0, "mixed"), batch=25)
    assert 0.2 <= found.calls_per_message <= 0.4
    assert FOREIGN_BODY.startswith("{")


def test_a_program_that_ends_early_is_an_error_not_a_figure(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure._START_TIMEOUT_S", 0.5)
    broken = replace(few(NAIVE), arguments=lambda _batch: ["-c", "raise SystemExit(3)"])
    with pytest.raises(BenchError, match="ended with code 3"):
        arena(stub).measure(broken, Scenario(0.0, "mixed"), batch=25)


def test_a_program_that_skips_work_is_an_error_not_a_figure(stub: Stub) -> None:
    lazy = replace(few(NAIVE), arguments=lambda _batch: ["-m", "bench.peers.ours_no_op"])
    with pytest.raises(BenchError, match="decided 0 of 70 requests"):
        arena(stub).measure(lazy, Scenario(0.0, "mixed"), batch=25)


def test_ratios_are_taken_run_by_run() -> None:
    ours = [measured(OURS, 1.0, 70), measured(OURS, 2.0, 70), measured(OURS, 9.0, 70)]
    naive = [measured(NAIVE, 10.0, 10), measured(NAIVE, 20.0, 10), measured(NAIVE, 45.0, 10)]
    assert worker.ratio(ours, naive, lambda m: m.per_core) == "10.00"


def test_the_results_say_where_ours_is_worse() -> None:
    section = worker.section([measured(OURS, 1.0, 70), measured(NAIVE, 10.0, 10)])
    assert "- A message that comes alone takes 70 ms in *ours*, 10 in *naive*" in " ".join(
        section.closing
    )
    rows = section.tables[0].rows
    assert [row[0] for row in rows] == ["ours", "naive"]
    assert rows[0][2] == "10.00"


def test_the_results_name_what_go_took_and_what_it_leaves_out() -> None:
    text = worker.section([measured(OURS, 1.0, 70)]).text[-1]
    assert "single calls: 7.9 and 8.4" in text
    assert "no part of the project" in text


def test_the_results_say_which_targets_are_met() -> None:
    found = [measured(OURS, 1.0, 70), measured(NAIVE, 10.0, 10), measured(FLOOR, 0.5, 2)]

    closing = worker.section(found).closing

    assert any("Met by *ours*" in line and "10.00 times *naive*'s" in line for line in closing)
    assert any(
        "Missed by *ours*" in line and "2.00 times the processor" in line for line in closing
    )


def test_a_measurement_with_a_stand_in_too_busy_is_made_again() -> None:
    busy = [0.9, 0.7, 0.4, 0.8, 0.8, 0.8]

    class Arenas:
        def measure(self, contestant: Contestant, _scenario: Scenario, _batch: int) -> Measurement:
            return replace(measured(contestant, 1.0, 5), stub_utilisation=busy.pop(0))

    tasks = [worker.Task(OURS, Scenario(0.0, "mixed")), worker.Task(NAIVE, Scenario(0.0, "mixed"))]
    found = worker.run(tasks, Arenas(), lambda _: None)  # type: ignore[arg-type]

    assert [(m.contestant, m.stub_utilisation) for m in found] == [("ours", 0.4), ("naive", 0.8)]


def test_contestants_take_turns_within_a_run() -> None:
    labels = [task.label for task in worker.short_tasks(2)]
    assert labels[0] == "ours, 0 ms, mixed, batch 50"
    assert labels.index("naive, 0 ms, mixed") < len(labels) // 2
    assert labels.count("naive, 0 ms, mixed") == 2
    assert len({task.label for task in worker.full_tasks(1)}) == len(worker.full_tasks(1))
