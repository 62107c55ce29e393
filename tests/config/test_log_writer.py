"""The log writer: nobody waits for whoever does not read, and what is lost is counted."""

import os
from collections.abc import Iterator

import pytest

from config import log_writer
from config.log_writer import LogWriter

LINE = b"x" * 999 + b"\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The ends of a pipe that holds 64 KiB: reading, writing."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def read(descriptor: int, count: int) -> bytes:
    """So many bytes, or what there is before the end."""
    data = b""
    while len(data) < count and (piece := os.read(descriptor, count - len(data))):
        data += piece
    return data


def test_lines_come_in_order_text_or_bytes(pipe: tuple[int, int]) -> None:
    writer = LogWriter(pipe[1], lambda _lines: None)

    writer.write("one\n")
    writer.write(b"two\n")

    assert writer.drain(5)
    assert read(pipe[0], 8) == b"one\ntwo\n"


def test_a_reader_who_stops_stops_nobody_and_finds_it_all_later(pipe: tuple[int, int]) -> None:
    writer = LogWriter(pipe[1], lambda _lines: None)

    for _ in range(500):  # eight times what the pipe holds
        writer.write(LINE)

    assert not writer.drain(0.1)
    assert read(pipe[0], 500 * len(LINE)) == 500 * LINE


def test_what_exceeds_the_bound_is_lost_and_reported_when_there_is_a_reader_again(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "MAX_WAITING_BYTES", 100 * len(LINE))
    lost: list[int] = []
    writer = LogWriter(pipe[1], lost.append)

    for _ in range(130):
        writer.write(LINE)
    assert not writer.drain(0.1)
    kept = read(pipe[0], 100 * len(LINE))

    assert writer.drain(5)
    assert (kept, lost) == (100 * LINE, [30])


def test_without_a_reader_lines_are_gone_and_nothing_waits() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = LogWriter(writing, lambda _lines: None)

    writer.write(LINE)

    assert writer.drain(5)
    os.close(writing)


class Collected(bytes):
    """A line during whose taking another is written, as the collector may bring about."""

    def __len__(self) -> int:
        if not self.has_written:
            self.has_written = True
            self.writer.write(b"inner\n")
        return super().__len__()

    writer: LogWriter
    has_written = False


def test_a_line_written_while_another_is_taken_waits_for_nobody(pipe: tuple[int, int]) -> None:
    line = Collected(b"outer\n")
    line.writer = LogWriter(pipe[1], lambda _lines: None)

    line.writer.write(line)

    assert line.writer.drain(5)
    assert sorted(read(pipe[0], 12).splitlines()) == [b"inner", b"outer"]


def test_a_stream_that_somebody_made_non_blocking_loses_nothing(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    writer = LogWriter(pipe[1], lambda _lines: None)

    for _ in range(200):  # three times what the pipe holds
        writer.write(LINE)

    assert read(pipe[0], 200 * len(LINE)) == 200 * LINE
    assert writer.drain(5)
