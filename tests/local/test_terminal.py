"""What the terminal of `participation local up` shows of the programs' lines."""

from typing import Any

import pytest

from local import terminal
from local.programs import LineListener


class Terminal:
    """What was shown, and a clock set by hand."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now_s = 100.0
        self.listener: LineListener = terminal.main_lines(self.lines.append, lambda: self.now_s)

    def hear(self, program: str, event: str, level: str = "warning", **fields: Any) -> None:
        self.listener(program, {"event": event, "level": level, "timestamp": "…", **fields})


@pytest.fixture
def shown() -> Terminal:
    return Terminal()


def test_of_lines_alike_one_a_second_is_shown_with_the_number_left_out(shown: Terminal) -> None:
    for _ in range(1_000):
        shown.hear("ingest", "call_failed", stage="load")
    shown.now_s += 1
    shown.hear("ingest", "call_failed", stage="send")

    assert shown.lines == [
        "ingest | call_failed stage=load",
        "ingest | call_failed stage=send (999 alike left out)",
    ]


def test_another_program_event_or_service_is_another_kind_of_line(shown: Terminal) -> None:
    for program in ("ingest", "worker"):
        shown.hear(program, "call_failed")
    for service in ("dynamodb", "sqs"):
        shown.hear("worker", "worker_paused", service=service)

    assert len(shown.lines) == 4


def test_of_ingest_only_warnings_and_worse_are_shown(shown: Terminal) -> None:
    shown.hear("ingest", "request", level="info")
    shown.hear("worker", "worker_started", level="info")
    shown.hear("ingest", "request", level="error")

    assert shown.lines == ["worker | worker_started ", "ingest | request "]


def test_a_traceback_is_shown_line_by_line(shown: Terminal) -> None:
    for line in ("Traceback", "  File", "  File"):
        shown.listener("ingest", {"event": line, "level": "error"})

    assert len(shown.lines) == 3


def test_verbosely_every_line_is_shown() -> None:
    lines: list[str] = []
    for _ in range(2):
        terminal.all_lines(lines.append)("ingest", {"event": "request", "level": "info"})

    assert len(lines) == 2
