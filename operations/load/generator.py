"""Makes clicks at their times, whatever the answers do, over a bounded number of connections.

A service that slows down does not slow the load down: clicks that find no connection wait, and
their latency counts from the moment in which they were due (no coordinated omission).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from time import perf_counter, process_time
from typing import Any, Final

import anyio
import anyio.lowlevel
import orjson
from anyio.abc import TaskGroup

from operations.load.people import Person
from operations.load.pool import TIMED_OUT, Click, Pool
from operations.load.tally import ACCEPTED, LATE_MS, NO_ANSWER, Outcome, Result, Sending, Tally
from operations.load.target import Target
from runtime import open_files
from runtime.errors import unwrapped
from runtime.stop import Stop

_TICK_S: Final = 1.0
_TRY_AGAIN_S: Final = 1.0
"""How long a browser waits where no Retry-After says."""
_LONGEST_WAIT_S: Final = 10.0
"""The greatest Retry-After of ingest (docs/api.md)."""
_AFTER_STOP_S: Final = 2.0
_OTHER_FILES: Final = 64
"""What the process has open besides connections, and some room."""
_IN_A_ROW: Final = 64
"""Clicks that are sent without a look at answers, where many are due."""
_PROBLEM_PREFIX: Final = "urn:participation:problem:"
_TIMER_S: Final = 0.001
"""How finely uvloop's timers are divided: a shorter wait may be none."""
NOT_SENT: Final = "not-sent"
"""There is no answer, because no connection became free for the click."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How clients behave."""

    connections: int = 1_000
    """The most that are open simultaneously."""
    timeout_s: float = 10.0
    """How long a try may take, connecting and answering each."""
    tries: int = 1
    """More than one: a click that is answered 503, or not at all, is made again, after
    Retry-After, as browsers do it."""
    patience_s: float | None = None
    """How long to wait for answers after the last click; None: as long as its tries may take."""

    @property
    def waits_s(self) -> float:
        """How long to wait for answers after the last click."""
        if self.patience_s is not None:
            return self.patience_s
        return self.timeout_s + (self.tries - 1) * (self.timeout_s + _LONGEST_WAIT_S)


@dataclass(frozen=True, slots=True)
class Course:
    """How a load stands."""

    seconds: float
    sent: int
    late: int
    tally: Tally


async def run(
    target: Target,
    clicks: Iterable[tuple[float, Person]],
    manner: Manner,
    *,
    stop: Stop | None = None,
    settled: Callable[[Outcome], None] = lambda _outcome: None,
    course: Callable[[Course], None] = lambda _course: None,
) -> Result:
    """Make clicks, each at its moment (seconds from now), and wait for their answers.

    `settled` gets each click's outcome, `course` every second how the load stands. A requested stop
    ends the sending; answers are then waited for briefly. Raises LoadError where the service cannot
    be reached when the load begins.
    """
    load = _Load(target, manner, stop or Stop(), settled)
    return await load.run(clicks, course)


class _Load:
    def __init__(
        self, target: Target, manner: Manner, stop: Stop, settled: Callable[[Outcome], None]
    ) -> None:
        self._target = target
        self._manner = manner
        self._stop = stop
        self._settled = settled
        self._allowed = open_files.allow(manner.connections + _OTHER_FILES) - _OTHER_FILES
        self._tally = Tally()
        self._tasks: TaskGroup
        self._pool: Pool
        self._later: dict[Click, tuple[int, dict[str, Any]]] = {}
        """Clicks to be made again, each with its last answer."""
        self._pending = 0
        self._is_over = False
        self._all_settled = anyio.Event()
        self._began_at = self._last_sent_at = perf_counter()
        self._scheduled = self._sent = self._late = self._held = 0
        self._latest_s = self._cpu_share = 0.0

    async def run(
        self, clicks: Iterable[tuple[float, Person]], course: Callable[[Course], None]
    ) -> Result:
        with unwrapped():
            async with anyio.create_task_group() as self._tasks:
                self._pool = Pool(
                    self._target, self, self._tasks, self._allowed, self._manner.timeout_s
                )
                await self._pool.open_first()
                self._tasks.start_soon(self._report, course)
                self._tasks.start_soon(self._pool.expire)
                self._began_at = self._last_sent_at = perf_counter()
                began_cpu_s = process_time()
                with self._stop.interrupts():
                    await self._send_all(clicks)
                await self._wait_for_answers()
                seconds = perf_counter() - self._began_at
                self._cpu_share = max(self._cpu_share, (process_time() - began_cpu_s) / seconds)
                self._give_up()
                self._tasks.cancel_scope.cancel()
        return self._tally.result(self._sending(), seconds, is_interrupted=self._stop.requested)

    def _sending(self) -> Sending:
        return Sending(
            scheduled=self._scheduled,
            sent=self._sent,
            seconds=self._last_sent_at - self._began_at,
            late=self._late,
            latest_ms=self._latest_s * 1000,
            held=self._held,
            connections=self._pool.most_open,
            connections_allowed=self._allowed,
            cpu_share=self._cpu_share,
        )

    async def _send_all(self, clicks: Iterable[tuple[float, Person]]) -> None:
        in_a_row = 0
        for due_s, person in clicks:
            # Before its time comes: the token is signed by now.
            click = Click(person, self._began_at + due_s, self._manner.tries - 1)
            in_a_row += 1
            if in_a_row >= _IN_A_ROW:
                in_a_row = 0
                await anyio.lowlevel.checkpoint()
            while (ahead_s := click.due_at - perf_counter()) > 0:  # a timer may be early
                in_a_row = 0
                await anyio.sleep(ceil(ahead_s / _TIMER_S) * _TIMER_S)
            self._scheduled += 1
            self._pending += 1
            self._held += not self._pool.make(click)

    async def _wait_for_answers(self) -> None:
        self._is_over = True
        if not self._pending:
            return
        with anyio.move_on_after(self._manner.waits_s):
            with self._stop.interrupts():
                await self._all_settled.wait()
            if self._stop.requested:
                self._drop_unsent()
                with anyio.move_on_after(_AFTER_STOP_S):
                    await self._all_settled.wait()

    # What the pool calls.

    def sent(self, click: Click, at: float) -> None:
        """A try is on its way."""
        if not click.sent_at:
            self._sent += 1
            self._last_sent_at = at
            behind_s = at - click.due_at
            self._late += behind_s * 1000 > LATE_MS
            self._latest_s = max(self._latest_s, behind_s)
        click.sent_at = at

    def answered(self, click: Click, status: int, body: bytes, retry_after: bytes) -> None:
        """Settle a click, or have it made again."""
        document = _document(body)
        if status == HTTPStatus.SERVICE_UNAVAILABLE and self._may_again(click):
            self._again(click, _seconds(retry_after), status, document)
        else:
            self._settle(click, status, document)

    def unanswered(self, click: Click, why: str) -> None:
        """Settle a click, or have it made again."""
        if self._may_again(click):
            self._again(click, _TRY_AGAIN_S, NO_ANSWER, {"type": why})
        else:
            self._settle(click, NO_ANSWER, {"type": why})

    def _may_again(self, click: Click) -> bool:
        return click.tries_left > 0 and not self._stop.requested

    def _again(self, click: Click, after_s: float, status: int, document: dict[str, Any]) -> None:
        click.tries_left -= 1
        self._later[click] = status, document
        self._tasks.start_soon(self._make_later, click, after_s)

    async def _make_later(self, click: Click, after_s: float) -> None:
        await anyio.sleep(after_s)
        if self._later.pop(click, None) is not None:
            self._tally.retries += 1
            self._pool.make(click)

    def _settle(self, click: Click, status: int, document: dict[str, Any]) -> None:
        now = perf_counter()
        outcome = _outcome(click, status, document, now)
        self._tally.count(outcome)
        self._settled(outcome)
        self._pending -= 1
        if self._is_over and not self._pending:
            self._all_settled.set()

    async def _report(self, course: Callable[[Course], None]) -> None:
        wall, cpu = perf_counter(), process_time()
        while True:
            await anyio.sleep(_TICK_S)
            before_wall, before_cpu = wall, cpu
            wall, cpu = perf_counter(), process_time()
            share = (cpu - before_cpu) / (wall - before_wall)
            self._cpu_share = max(self._cpu_share, share)
            course(Course(wall - self._began_at, self._sent, self._late, self._tally))

    def _give_up(self) -> None:
        """Settle what has no answer, and close what is open."""
        self._drop_unsent()
        for click in self._pool.close():
            self._settle(click, NO_ANSWER, {"type": TIMED_OUT})

    def _drop_unsent(self) -> None:
        for click in self._pool.drop_waiting():
            self._settle(click, NO_ANSWER, {"type": NOT_SENT})
        while self._later:
            click, (status, document) = self._later.popitem()
            self._settle(click, status, document)


def _outcome(click: Click, status: int, document: dict[str, Any], now: float) -> Outcome:
    is_accepted = status == ACCEPTED
    request_id = document.get("requestId")
    problem = str(document.get("type", "unknown")).removeprefix(_PROBLEM_PREFIX)
    return Outcome(
        user_id=click.person.user_id,
        status=status,
        problem=None if is_accepted else problem,
        request_id=request_id if isinstance(request_id, str) else None,
        is_duplicate=is_accepted and document.get("isDuplicate") is True,
        latency_ms=(now - click.due_at) * 1000,
        service_ms=(now - click.sent_at) * 1000 if click.sent_at else 0.0,
    )


def _seconds(retry_after: bytes) -> float:
    """What Retry-After says; a date, which ingest never sends, is as good as nothing."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        return _TRY_AGAIN_S


def _document(body: bytes) -> dict[str, Any]:
    """An answer's JSON object; a load balancer's own answers have none."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
