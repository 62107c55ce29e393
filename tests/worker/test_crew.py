"""The crew: every job begins at once, tasks are used again, and end when they are dismissed."""

import anyio
import pytest

from tests.virtual_time import virtual_time
from worker.crew import Crew


class Work:
    """Jobs that take seconds; remembers which task did which job, and when each ended."""

    def __init__(self) -> None:
        self.tasks: list[int] = []
        self.ended_at_s: dict[str, float] = {}
        self.began_s = anyio.current_time()

    async def __call__(self, job: tuple[str, float]) -> None:
        name, takes_s = job
        self.tasks.append(anyio.get_current_task().id)
        await anyio.sleep(takes_s)
        self.ended_at_s[name] = round(anyio.current_time() - self.began_s)


@virtual_time
async def test_no_job_waits_for_another() -> None:
    work = Work()
    async with anyio.create_task_group() as tasks:
        crew = Crew(tasks, work)
        for name in "abc":
            crew.give((name, 10))
        crew.dismiss()

    assert work.ended_at_s == {"a": 10, "b": 10, "c": 10}


@virtual_time
async def test_a_task_that_is_free_takes_the_next_job() -> None:
    work = Work()
    async with anyio.create_task_group() as tasks:
        crew = Crew(tasks, work)
        for name in "abcd":
            crew.give((name, 1))
            await anyio.sleep(5)
        crew.dismiss()

    assert len(work.tasks) == 4
    assert len(set(work.tasks)) == 1


@virtual_time
async def test_once_dismissed_the_jobs_under_way_end_and_so_do_the_tasks() -> None:
    work = Work()
    async with anyio.create_task_group() as tasks:
        crew = Crew(tasks, work)
        crew.give(("short", 1))
        crew.give(("long", 60))
        await anyio.sleep(5)
        crew.dismiss()

    assert work.ended_at_s == {"short": 1, "long": 60}


@virtual_time
async def test_a_job_that_raises_ends_the_group_as_any_task_s_error_does() -> None:
    async def work(_job: str) -> None:
        raise ConnectionError("job")

    with pytest.RaisesGroup(ConnectionError):
        async with anyio.create_task_group() as tasks:
            Crew(tasks, work).give("job")


@virtual_time
async def test_cancelled_tasks_are_given_nothing() -> None:
    work = Work()
    async with anyio.create_task_group() as tasks:
        crew = Crew(tasks, work)
        crew.give(("a", 0))
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
        crew.give(("b", 0))

    assert set(work.ended_at_s) == {"a"}
