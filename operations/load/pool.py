"""The connections that clicks go over: a bounded number, opened where none is free, and reused."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Protocol

import anyio
from anyio.abc import TaskGroup

from operations.load.connection import Connection
from operations.load.people import Person
from operations.load.target import LoadError, Target

_EXPIRY_S: Final = 0.1
TIMED_OUT: Final = "timed-out"
CONNECTION_LOST: Final = "connection-lost"
NOT_CONNECTED: Final = "no-connection"
"""Why there is no answer."""


@dataclass(slots=True, eq=False)
class Click:
    """One click, until its outcome is known."""

    person: Person
    due_at: float
    """By `perf_counter`, as the other times."""
    tries_left: int
    sent_at: float = 0.0
    """When its last try was sent; 0 before the first."""


class Clicker(Protocol):
    """Whoever has clicks made."""

    def sent(self, click: Click, at: float) -> None:
        """A try is on its way."""
        ...

    def answered(self, click: Click, status: int, body: bytes, retry_after: bytes) -> None:
        """Take the answer to a try."""
        ...

    def unanswered(self, click: Click, why: str) -> None:
        """A try ended without an answer."""
        ...


class Pool:
    """Makes clicks on free connections, in the order in which they come.

    `tasks` runs what opens connections; each part of a try may take `timeout_s`.
    """

    def __init__(
        self, target: Target, clicker: Clicker, tasks: TaskGroup, allowed: int, timeout_s: float
    ) -> None:
        self._target = target
        self._clicker = clicker
        self._tasks = tasks
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._free: list[Connection] = []
        self._busy: dict[Connection, Click] = {}
        """In the order of their sending, as each try may take equally long."""
        self._open: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[Click] = deque()
        self.most_open = 0
        """The greatest number of connections that were open."""

    async def open_first(self) -> None:
        """Find out whether anybody is there; raises LoadError."""
        try:
            connection = await self._target.connect(self, self._timeout_s)
        except OSError as error:
            where = f"{self._target.host}:{self._target.port}"
            reason = str(error) or f"no answer within {self._timeout_s:g} s"
            raise LoadError(f"there is no way to {where}: {reason}") from error
        self._opened(connection)

    def make(self, click: Click) -> bool:
        """Send a click, or have it wait; False where all connections allowed are in use."""
        while self._free:
            connection = self._free.pop()
            if connection.keeps:
                self._send(connection, click)
                return True
        self._waiting.append(click)
        return self._open_another()

    async def expire(self) -> None:
        """End the tries that take too long, until it is cancelled."""
        while True:
            await anyio.sleep(_EXPIRY_S)
            until = perf_counter() - self._timeout_s
            expired = []
            for connection in self._busy:
                if connection.sent_at > until:
                    break
                expired.append(connection)
            for connection in expired:
                click = self._busy.pop(connection)
                connection.close()
                self._clicker.unanswered(click, TIMED_OUT)

    def drop_waiting(self) -> Sequence[Click]:
        """Send no more of what waits for a connection; returns it."""
        dropped = list(self._waiting)
        self._waiting.clear()
        return dropped

    def close(self) -> Sequence[Click]:
        """Close every connection; returns the clicks that wait for their answers."""
        under_way = list(self._busy.values())
        self._busy.clear()
        for connection in list(self._open):
            connection.close()
        return under_way

    # What connections call.

    def answered(
        self, connection: Connection, status: int, body: bytes, retry_after: bytes
    ) -> None:
        """Take an answer, and use the connection for the next click."""
        click = self._busy.pop(connection, None)
        if click is None or not connection.keeps:
            connection.close()
        else:
            self._use(connection)
        if click is not None:
            self._clicker.answered(click, status, body, retry_after)

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self._open.discard(connection)
        click = self._busy.pop(connection, None)
        if click is not None:
            self._clicker.unanswered(click, CONNECTION_LOST)
        self._open_another()

    def _send(self, connection: Connection, click: Click) -> None:
        self._busy[connection] = click
        connection.send(self._target.click(click.person.token))
        self._clicker.sent(click, connection.sent_at)

    def _open_another(self) -> bool:
        """Begin to open a connection, if clicks wait for it and one more is allowed."""
        if self._opening >= len(self._waiting):
            return True
        if len(self._open) + self._opening >= self._allowed:
            return False
        self._opening += 1
        self._tasks.start_soon(self._connect)
        return True

    async def _connect(self) -> None:
        try:
            connection = await self._target.connect(self, self._timeout_s)
        except OSError:
            self._opening -= 1
            if self._waiting:
                self._clicker.unanswered(self._waiting.popleft(), NOT_CONNECTED)
            self._open_another()
            return
        self._opening -= 1
        self._opened(connection)

    def _opened(self, connection: Connection) -> None:
        if not connection.keeps:  # it ended in the same moment, and has said so
            self._open_another()
            return
        self._open.add(connection)
        self.most_open = max(self.most_open, len(self._open))
        self._use(connection)

    def _use(self, connection: Connection) -> None:
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._free.append(connection)
