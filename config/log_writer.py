"""Writes log lines from a thread of its own: whoever does not read them must not stop a program."""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""What may wait for a reader; a line beyond that is lost, and counted."""
_GATHER_S: Final = 0.02
"""How long lines wait for others that can be written with them."""
_LOOK_S: Final = 0.005


class LogWriter:
    """A stream for log handlers, text or binary, whose `write` never waits.

    `report_lost` is called with the number of lines that were lost, when lines can be written
    again.
    """

    def __init__(self, descriptor: int, report_lost: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._report_lost = report_lost
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._lost = 0
        self._is_writing = False
        # The collector may run anywhere, and what it collects may log.
        self._lock = threading.RLock()
        self._has_lines = threading.Event()
        threading.Thread(target=self._run, name="log-writer", daemon=True).start()

    def write(self, line: str | bytes) -> int:
        """Take a line, or lose it."""
        data = line.encode("utf-8", "backslashreplace") if isinstance(line, str) else line
        with self._lock:
            if self._waiting_bytes + len(data) > MAX_WAITING_BYTES:
                self._lost += 1
                return len(line)
            self._waiting.append(data)
            self._waiting_bytes += len(data)
        if not self._has_lines.is_set():
            self._has_lines.set()
        return len(line)

    def flush(self) -> None:
        """Do nothing: lines leave by themselves."""

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything is written, for so long at most; returns whether it is."""
        ends_s = time.monotonic() + timeout_s
        while self._has_work and time.monotonic() < ends_s:
            time.sleep(_LOOK_S)
        return not self._has_work

    @property
    def _has_work(self) -> bool:
        return self._is_writing or self._waiting_bytes > 0

    def _run(self) -> None:
        while True:
            self._has_lines.wait()
            self._is_writing = True
            time.sleep(_GATHER_S)
            self._has_lines.clear()
            with self._lock:
                lines, self._waiting = self._waiting, deque()
            data = b"".join(lines)
            has_reader = self._write_out(data)
            with self._lock:
                self._waiting_bytes -= len(data)
                lost, self._lost = self._lost, 0
            if lost and has_reader:
                self._report_lost(lost)
            self._is_writing = False

    def _write_out(self, data: bytes) -> bool:
        """Write, however long that takes; False where there is no reader any more."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])  # somebody made it non-blocking
            except OSError:
                return False
        return True
