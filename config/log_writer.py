"""Writes log lines from a thread of its own: whoever does not read them must not stop a program."""

import os
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
        self._lock = threading.Lock()
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
        while self._waiting_bytes and time.monotonic() < ends_s:
            time.sleep(_LOOK_S)
        return not self._waiting_bytes

    def _run(self) -> None:
        while True:
            self._has_lines.wait()
            time.sleep(_GATHER_S)
            self._has_lines.clear()
            with self._lock:
                data = b"".join(self._waiting)
                self._waiting.clear()
            self._write_out(data)
            with self._lock:
                lost, self._lost = self._lost, 0
            if lost:
                self._report_lost(lost)
            with self._lock:
                self._waiting_bytes -= len(data)

    def _write_out(self, data: bytes) -> None:
        """Write, however long that takes; without a reader the lines are gone."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            return
