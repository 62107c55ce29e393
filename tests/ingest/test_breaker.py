"""The breaker: when it opens, what it lets through meanwhile, and what closes it."""

from dataclasses import dataclass, field
from random import Random

import anyio
import pytest
from structlog.testing import capture_logs

from aws.errors import AwsError, Fatal, Rejected, Transient
from ingest.breaker import OPENS_AFTER, OPENS_AFTER_S, PROBE_EVERY_S, Away, Breaker
from tests.virtual_time import virtual_time

DOWN = Transient("dynamodb", "Query", "InternalServerError", "not now")


@dataclass(slots=True)
class Service:
    """A service that fails as a test says, behind a breaker."""

    error: Exception | None = None
    takes_s: float = 0.0
    calls: int = 0
    changes: list[tuple[str, bool]] = field(default_factory=list)
    breaker: Breaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = Breaker("dynamodb", Random(0), self)

    def service_away(self, service: str, *, is_away: bool) -> None:
        self.changes.append((service, is_away))

    async def answer(self, argument: str) -> str:
        self.calls += 1
        error = self.error
        await anyio.sleep(self.takes_s)
        if error is not None:
            raise error
        return argument.upper()

    async def ask(self) -> Exception | None:
        """Make a call; returns what became of it."""
        try:
            await self.breaker.call(self.answer, "a")
        except (AwsError, Away) as error:
            return error
        return None

    async def fail(self) -> None:
        """Make calls until it counts as away."""
        self.error = DOWN
        for _ in range(OPENS_AFTER - 1):
            await self.ask()
        await anyio.sleep(OPENS_AFTER_S)
        await self.ask()
        assert self.breaker.refuses


@virtual_time
async def test_a_run_of_failures_opens_it() -> None:
    service = Service()
    with capture_logs() as logs:
        await service.fail()
        calls = service.calls
        assert isinstance(await service.ask(), Away)

    assert service.calls == calls
    assert service.changes == [("dynamodb", True)]
    assert [line["event"] for line in logs] == ["service_away"]


@virtual_time
async def test_calls_that_hang_open_it_as_soon_as_some_have_failed() -> None:
    service = Service(DOWN, takes_s=1)
    async with anyio.create_task_group() as tasks:
        for _ in range(OPENS_AFTER):
            tasks.start_soon(service.ask)

    assert service.changes == [("dynamodb", True)]


@pytest.mark.parametrize(
    ("failures", "over_s"), [(OPENS_AFTER - 1, 60.0), (100, OPENS_AFTER_S - 0.01)]
)
def test_neither_a_few_failures_nor_short_ones_open_it(failures: int, over_s: float) -> None:
    @virtual_time
    async def main() -> None:
        service = Service(DOWN)
        for _ in range(failures - 1):
            await service.ask()
        await anyio.sleep(over_s)
        await service.ask()

        assert service.changes == []

    main()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Transient("dynamodb", "Query", "ThrottlingException", "slow down"),
        Fatal("dynamodb", "Query", "AccessDeniedException", "no"),
        Rejected("dynamodb", "Query", "ValidationException", "no"),
    ],
)
def test_any_answer_ends_the_run(answer: Exception | None) -> None:
    @virtual_time
    async def main() -> None:
        service = Service()
        for _ in range(50):
            service.error = DOWN
            await service.ask()
            await service.ask()
            await anyio.sleep(OPENS_AFTER_S)
            service.error = answer
            await service.ask()

        assert service.changes == []

    main()


@virtual_time
async def test_calls_that_began_before_the_last_answer_do_not_count() -> None:
    service = Service(DOWN, takes_s=1)
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(service.ask)
        await anyio.sleep(0.5)
        service.error, service.takes_s = None, 0
        await service.ask()

    assert service.changes == []


@virtual_time
async def test_while_it_is_open_one_call_in_half_a_second_goes_through() -> None:
    service = Service()
    await service.fail()
    service.calls, service.takes_s = 0, 1  # a probe that hangs does not hold up the next one

    async with anyio.create_task_group() as tasks:
        for _ in range(1_000):
            tasks.start_soon(service.ask)
            await anyio.sleep(0.01)

    assert 10 / PROBE_EVERY_S <= service.calls <= 20 / PROBE_EVERY_S
    assert service.changes == [("dynamodb", True)]


@virtual_time
async def test_the_first_answer_closes_it_and_the_next_run_begins_anew() -> None:
    service = Service()
    await service.fail()
    service.error = None
    await anyio.sleep(PROBE_EVERY_S)
    with capture_logs() as logs:
        assert [await service.ask() for _ in range(5)] == [None] * 5

    assert service.changes == [("dynamodb", True), ("dynamodb", False)]
    assert [(line["event"], line["away_s"]) for line in logs] == [("service_back", 0.5)]
    service.error = DOWN
    for _ in range(100):
        await service.ask()
    assert not service.breaker.refuses


@virtual_time
async def test_tasks_do_not_probe_in_step() -> None:
    async def first_probe_after_s(seed: int) -> float:
        service = Service()
        service.breaker = Breaker("dynamodb", Random(seed), None)
        await service.fail()
        steps = 0
        while await service.ask() is not DOWN:
            await anyio.sleep(0.001)
            steps += 1
        return steps / 1_000

    waits_s = [await first_probe_after_s(seed) for seed in range(20)]
    assert max(waits_s) <= PROBE_EVERY_S
    assert max(waits_s) - min(waits_s) > PROBE_EVERY_S / 4
