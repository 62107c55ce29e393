"""`participation simulate`: what it prints, what it writes, and how it ends."""

import re
import signal
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest

from simulation import catalog, saved
from simulation.catalog import Wishes
from tests.cli.conftest import Command

SMALL = ("--rate", "40", "--seconds", "1", "--seats", "20")
KEYS = {
    *("scenario", "seed", "region", "rate", "seconds", "workers", "ingests", "limits", "replay"),
    *("digest", "steps", "violation", "lastSteps", "simulatedS", "lastDecisionS", "lastSeatS"),
    *("clicks", "accepted", "gaveUp", "answers", "decided", "outcomes", "seatsTaken"),
    *("winnersOvertaking", "winnersOvertakingShare", "greatestOvertakingMs"),
    *("seatsOutOfTurn", "ingestSkewMs"),
    *("published", "delivered", "lost", "deadLettered", "quarantined", "redriven", "republished"),
    *("kills", "starts", "answerS", "queueDelayS", "e2eDelayS", "limitsThatBound"),
    *("calls", "callsARequest", "aRequest", "dollarsAMillionInUsEast1"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that a failure leaves are written below the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def failing(folder: Path) -> Path:
    """A scenario that has no time to finish what is under way."""
    path = folder / "failing.json"
    made = catalog.scenario("slow", 4, Wishes(rate=40, seconds=1, seats=20))
    slow = replace(made.latencies, events_s=1.0)
    saved.write(replace(made, latencies=slow, settles_in_s=0.0), path)
    return path


def test_a_run_that_holds_says_so_with_its_figures(command: Command) -> None:
    shown = command("simulate", "flash", *SMALL)

    assert (shown.code, shown.err) == (0, "")
    for text in ("every check holds", "no limit bound", "20 SUCCESS", "dollars a million"):
        assert text in shown.out


def test_the_limit_that_binds_first_is_named_with_its_second(command: Command) -> None:
    shown = command("simulate", "flash", *SMALL, "--limit", "table_write_units=50")

    assert re.search(r"table_write_units of table/\w+ bound first, in second 1\.\d", shown.out)


def test_json_is_one_object_with_stable_keys_and_the_same_each_time(command: Command) -> None:
    first, second = (command("simulate", "flash", *SMALL, "--json") for _ in range(2))

    assert first.out == second.out
    document = orjson.loads(first.out)
    assert set(document) == KEYS
    assert set(document["answerS"]) == {"p50S", "p95S", "p99S", "mostS"}
    assert document["violation"] is None
    assert document["decided"] == document["accepted"] == document["delivered"]


def test_another_seed_is_another_run(command: Command) -> None:
    digests = {
        orjson.loads(command("simulate", "flash", *SMALL, "--json", "--seed", seed).out)["digest"]
        for seed in ("1", "2")
    }

    assert len(digests) == 2


class Page(HTMLParser):
    """Checks that tags are closed, and gathers what is linked."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.charts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        self.charts += tag == "svg"
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An SVG's own tags close themselves."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_has_charts_and_needs_no_network(
    command: Command, folder: Path
) -> None:
    target = folder / "new" / "run.html"

    shown = command(
        "simulate", "cold-table", *SMALL, "--limit", "table_write_units=50", "--html", str(target)
    )

    text = target.read_text("utf-8")
    page = Page()
    page.feed(text)
    assert (shown.code, page.open) == (0, [])
    assert page.charts == 2 * 5
    assert page.links == ["data:,"]
    assert "://" not in text
    assert "table_write_units of table/AsyncEventTable bound first" in text


def test_a_failure_is_exit_code_1_with_its_seed_the_last_steps_and_two_ways_to_replay(
    command: Command, failing: Path, folder: Path
) -> None:
    shown = command("simulate", "--file", str(failing))

    assert shown.code == 1
    assert "liveness: 0 s after clicks and faults" in shown.err
    assert "seed 4; the smallest run found has" in shown.err
    assert "the last steps" in shown.err
    assert f"again:    participation simulate --file {failing}" in shown.err
    path = "var/simulation/slow-4-smallest.json"
    assert f"smallest: participation simulate --file {path}" in shown.err
    smallest = saved.read(folder / path)
    assert smallest.load.most_clicks is not None
    replayed = command("simulate", "--file", path, "--no-shrink")
    assert (replayed.code, "liveness" in replayed.err) == (1, True)


def test_a_failure_that_is_not_shrunk_is_kept_as_it_is(
    command: Command, failing: Path, folder: Path
) -> None:
    shown = command("simulate", "--file", str(failing), "--no-shrink", "--json")

    assert shown.code == 1
    assert orjson.loads(shown.out)["violation"]["rule"] == "liveness"
    assert saved.read(folder / "var/simulation/slow-4.json") == saved.read(failing)


def test_many_seeds_add_up(command: Command) -> None:
    shown = command(
        "simulate", "clocks", *SMALL, "--runs", "3", "--seed", "5", "--jobs", "1", "--json"
    )

    document = orjson.loads(shown.out)
    assert shown.code == 0
    assert document["runs"] == 3
    assert list(document["digests"]) == ["5", "6", "7"]
    assert document["failures"] == []
    assert document["faults"] == {"skew": 12}


def test_what_the_programs_log_is_shown_on_request_alone(command: Command) -> None:
    silent = command("simulate", "crashes", *SMALL)
    loud = command("simulate", "crashes", *SMALL, "--log-level", "info")

    assert silent.err == ""
    assert "worker_stopping" in loud.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("flesh",), "there is no scenario 'flesh'"),
        (("flash", "--limit", "puts=1"), "there is no limit 'puts'"),
        (("flash", "--limit", "put_events_per_s"), "its value is missing"),
        (("flash", "--limit", "put_events_per_s=x"), "'x' is no number"),
        (("flash", "--region", "moon-1"), "not known"),
        (("random", "--rate", "5"), "the seed alone decides"),
        (("flash", "--log-level", "loud"), "it is one of debug"),
        (("--file", "none.json"), "No such file"),
        (("--file", "none.json", "--rate", "5"), "--file goes with no other choice"),
        (("flash", "--runs", "2", "--html", "x.html"), "--html is about one run"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_exit_code_2(
    command: Command, arguments: tuple[str, ...], text: str
) -> None:
    shown = command("simulate", *arguments)

    assert shown.code == 2
    assert text in shown.err
    assert shown.err.count("\n") == 1


def test_help_lists_every_scenario(command: Command) -> None:
    shown = command("simulate", "--help")

    for entry in catalog.CATALOG.values():
        assert f"{entry.name}: {entry.sentence}" in shown.out


@pytest.mark.parametrize("runs", ["1", "1000"])
def test_an_interrupt_ends_it_with_one_line(runs: str) -> None:
    root = Path(__file__).parents[2]
    line = [sys.executable, "-m", "cli.main", "simulate", "flash", "--seconds", "1000"]
    with subprocess.Popen(  # noqa: S603 - a program of our own
        [*line, "--runs", runs, "--log-level", "info"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        program.stderr.readline()  # the programs run
        program.send_signal(signal.SIGINT)
        _, rest = program.communicate(timeout=30)

    assert program.returncode == 130
    assert rest.rstrip().endswith("participation: interrupted")
    assert "Traceback" not in rest
