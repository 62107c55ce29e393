"""Log lines: one JSON object each, whoever writes it."""

import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog

from config import logs


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Puts logging back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("aiobotocore", "boto3", "botocore", "aiohttp", "urllib3", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


Stderr = pytest.CaptureFixture[str]


def lines(capsys: Stderr) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_json_object_with_its_fields(capsys: Stderr) -> None:
    logs.configure("info", "json")

    structlog.get_logger("publisher").warning("publish_failed", request_ids=["r1", "r2"], count=2)

    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "publish_failed",
        "level": "warning",
        "logger": "publisher",
        "request_ids": ["r1", "r2"],
        "count": 2,
    }


def test_a_line_break_in_a_value_stays_in_its_line(capsys: Stderr) -> None:
    logs.configure("info", "json")

    structlog.get_logger("a").info("event", error="one\ntwo")

    (line,) = lines(capsys)
    assert line["error"] == "one\ntwo"


def test_the_standard_library_s_lines_have_the_same_form(capsys: Stderr) -> None:
    logs.configure("info", "json")

    logging.getLogger("somebody").error("it broke: %s", "badly")

    (line,) = lines(capsys)
    assert line["event"] == "it broke: badly"
    assert (line["level"], line["logger"]) == ("error", "somebody")
    assert "timestamp" in line


def test_an_exception_is_written_in_the_same_line(capsys: Stderr) -> None:
    logs.configure("info", "json")

    try:
        int("no number")
    except ValueError:
        structlog.get_logger("a").exception("decision_failed")

    (line,) = lines(capsys)
    assert line["event"] == "decision_failed"
    assert "ValueError: invalid literal" in line["exception"]


def test_a_value_that_json_does_not_know_is_written_as_text(capsys: Stderr) -> None:
    logs.configure("info", "json")

    structlog.get_logger("a").info("event", error=ValueError("what"))

    (line,) = lines(capsys)
    assert line["error"] == "what"


def test_lines_below_the_level_are_left_out(capsys: Stderr) -> None:
    logs.configure("warning", "json")

    structlog.get_logger("a").info("quiet")
    logging.getLogger("b").info("quiet")
    structlog.get_logger("a").warning("loud")

    assert [line["event"] for line in lines(capsys)] == ["loud"]


@pytest.mark.parametrize("name", ["botocore.endpoint", "aiobotocore", "aiohttp.access", "asyncio"])
def test_the_sdk_s_chatter_is_left_out(capsys: Stderr, name: str) -> None:
    logs.configure("debug", "json")

    logging.getLogger(name).info("a connection, a signature")
    logging.getLogger(name).warning("trouble")

    assert [line["event"] for line in lines(capsys)] == ["trouble"]


def test_bound_context_is_in_every_line(capsys: Stderr) -> None:
    logs.configure("info", "json")

    with structlog.contextvars.bound_contextvars(worker_id="w1"):
        structlog.get_logger("a").info("inside")
    structlog.get_logger("a").info("outside")

    assert [line.get("worker_id") for line in lines(capsys)] == ["w1", None]


def test_configuring_again_does_not_double_the_lines(capsys: Stderr) -> None:
    logs.configure("info", "json")
    logs.configure("info", "json")

    structlog.get_logger("a").info("once")

    assert len(lines(capsys)) == 1


def test_the_console_form_is_for_people(capsys: Stderr) -> None:
    logs.configure("info", "console")

    structlog.get_logger("a").info("worker_started", port=9000)

    (line,) = capsys.readouterr().err.splitlines()
    assert "worker_started" in line
    assert "port=9000" in line
    assert not line.startswith("{")
