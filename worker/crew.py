"""Tasks that take one job after the other and stay, where a task for each job would cost much."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from anyio.abc import TaskGroup

J = TypeVar("J")


class Crew(Generic[J]):
    """Does every job at once: by a task that is free, else by a new one.

    The tasks belong to the group that is handed in, which ends once the crew is dismissed.
    """

    def __init__(self, tasks: TaskGroup, work: Callable[[J], Awaitable[None]]) -> None:
        self._tasks = tasks
        self._work = work
        self._free: list[asyncio.Future[J | None]] = []
        self._dismissed = False

    def give(self, job: J) -> None:
        """Have a job begun; it ends by itself."""
        while self._free:
            waiting = self._free.pop()
            if not waiting.done():
                waiting.set_result(job)
                return
        self._tasks.start_soon(self._work_on, job)

    def dismiss(self) -> None:
        """Let every task end with the job that it has."""
        self._dismissed = True
        for waiting in self._free:
            if not waiting.done():
                waiting.set_result(None)
        self._free.clear()

    async def _work_on(self, job: J | None) -> None:
        while job is not None:
            await self._work(job)
            if self._dismissed:
                return
            waiting: asyncio.Future[J | None] = asyncio.get_running_loop().create_future()
            self._free.append(waiting)
            job = await waiting
