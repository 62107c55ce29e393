"""Access lines: of the form of all other lines, without user data, at level info."""

import logging
import re
from collections.abc import Iterator
from typing import Literal

import orjson
import pytest
import structlog

from config import logs
from ingest.access import Access, line_writer
from tests.ingest.support import now_ms


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Logging is afterwards as it was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def access() -> Access:
    access = Access()
    access.route, access.status = "participate", 202
    access.request_id, access.user_hash = "request-1", "0123456789abcdef"
    return access


def test_a_json_line_has_the_fields_of_every_other_line_and_the_requests_own(
    access: Access, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", "json")
    structlog.get_logger("ingest").info("other")
    line_writer("info", "json", now_ms)("POST", access, 0.0123456)

    other, line = (orjson.loads(text) for text in capfd.readouterr().err.splitlines())
    assert other.keys() <= line.keys()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line == {
        "event": "request",
        "logger": "ingest",
        "level": "info",
        "method": "POST",
        "route": "participate",
        "status": 202,
        "duration_ms": 12.35,
        "request_id": "request-1",
        "user": "0123456789abcdef",
    }


def test_on_a_console_a_line_is_read_by_people(
    access: Access, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", "console")
    line_writer("info", "console", now_ms)("POST", access, 0.001)

    text = capfd.readouterr().err
    assert "request_id=request-1" in text
    assert "status=202" in text


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("info", 1), ("warning", 0)])
def test_lines_are_written_at_level_info(
    access: Access,
    capfd: pytest.CaptureFixture[str],
    level: str,
    lines: int,
    form: Literal["json", "console"],
) -> None:
    logs.configure(level, form)
    line_writer(level, form, now_ms)("POST", access, 0.001)

    assert len(capfd.readouterr().err.splitlines()) == lines
