"""The event cache: one read for a burst, forgotten in time, and no failure remembered."""

from dataclasses import replace

import anyio
import pytest

from ingest import event_cache
from ingest.event_cache import EventCache
from ingest.gateway import CorruptItem, Event, Unavailable
from tests.ingest.support import EVENT as CONFIG
from tests.virtual_time import virtual_time

EVENT = Event(CONFIG)


class Source:
    """Reads events, slowly, and counts how often."""

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.found: Event | None = EVENT
        self.error: Exception | None = None
        self.wait_s = 0.0

    async def read(self, event_id: str) -> Event | None:
        self.reads.append(event_id)
        await anyio.sleep(self.wait_s)
        if self.error is not None:
            raise self.error
        return self.found


@pytest.fixture
def source() -> Source:
    return Source()


def cache_of(source: Source, ttl_s: float) -> EventCache:
    return EventCache(source.read, ttl_s)


@virtual_time
async def test_an_event_is_read_once_a_lifetime() -> None:
    source = Source()
    cache = cache_of(source, ttl_s=5)

    for _ in range(3):
        assert await cache.get("event-1") is EVENT
    await anyio.sleep(4.9)
    await cache.get("event-1")
    assert len(source.reads) == 1
    await anyio.sleep(0.2)
    await cache.get("event-1")
    assert len(source.reads) == 2


@virtual_time
async def test_that_an_event_does_not_exist_is_remembered_until_it_does() -> None:
    source = Source()
    source.found = None
    cache = cache_of(source, ttl_s=5)

    assert await cache.get("event-1") is None
    assert await cache.get("event-1") is None
    assert len(source.reads) == 1
    source.found = EVENT
    await anyio.sleep(5)
    assert await cache.get("event-1") is EVENT


async def ask_together(cache: EventCache, count: int) -> list[Event | Exception | None]:
    answers: list[Event | Exception | None] = []

    async def ask() -> None:
        try:
            answers.append(await cache.get("event-1"))
        except LookupError as error:
            answers.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(ask)
    return answers


@pytest.mark.parametrize("ttl_s", [0.0, 5.0])
def test_a_burst_shares_one_read(ttl_s: float) -> None:
    @virtual_time
    async def main() -> None:
        source = Source()
        source.wait_s = 1
        cache = cache_of(source, ttl_s)

        assert await ask_together(cache, 100) == [EVENT] * 100
        assert len(source.reads) == 1

    main()


@virtual_time
async def test_with_no_lifetime_each_request_reads_anew() -> None:
    source = Source()
    cache = cache_of(source, ttl_s=0)

    await cache.get("event-1")
    await cache.get("event-1")

    assert len(source.reads) == 2


@virtual_time
async def test_a_failed_read_fails_all_who_wait_for_it_and_is_not_remembered() -> None:
    source = Source()
    source.wait_s = 1
    source.error = LookupError("away")
    cache = cache_of(source, ttl_s=5)

    answers = await ask_together(cache, 3)
    assert answers == [source.error] * 3
    assert len(source.reads) == 1
    source.error = None
    assert await cache.get("event-1") is EVENT


@virtual_time
async def test_an_event_that_cannot_be_read_is_used_for_a_minute_more_and_read_once_a_second() -> (
    None
):
    source = Source()
    cache = cache_of(source, ttl_s=5)
    await cache.get("event-1")
    source.error = Unavailable("event", "away")

    for _ in range(644):
        await anyio.sleep(0.1)
        assert await cache.get("event-1") is EVENT
    assert 55 <= len(source.reads) <= 61
    await anyio.sleep(0.7)
    with pytest.raises(Unavailable):
        await cache.get("event-1")
    changed = source.found = Event(replace(CONFIG, closes_at_ms=1))
    source.error = None
    assert await cache.get("event-1") is changed


@virtual_time
async def test_nobody_but_the_reader_waits_for_an_event_that_could_not_be_read_before() -> None:
    source = Source()
    cache = cache_of(source, ttl_s=5)
    await cache.get("event-1")
    source.error = Unavailable("event", "away")
    await anyio.sleep(5)
    await cache.get("event-1")
    source.wait_s = 1
    await anyio.sleep(1)
    took_s: list[float] = []

    async def ask() -> None:
        began_s = anyio.current_time()
        assert await cache.get("event-1") is EVENT
        took_s.append(anyio.current_time() - began_s)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask)

    assert sorted(took_s) == [0] * 9 + [1]


@virtual_time
async def test_that_an_event_did_not_exist_is_not_used_where_it_cannot_be_read() -> None:
    source = Source()
    source.found = None
    cache = cache_of(source, ttl_s=5)
    assert await cache.get("event-1") is None
    source.error = Unavailable("event", "away")
    await anyio.sleep(5)

    with pytest.raises(Unavailable):
        await cache.get("event-1")


@virtual_time
async def test_an_event_that_breaks_the_contract_is_no_longer_used() -> None:
    source = Source()
    cache = cache_of(source, ttl_s=5)
    await cache.get("event-1")
    source.error = CorruptItem("injected")
    await anyio.sleep(5)

    with pytest.raises(CorruptItem):
        await cache.get("event-1")


@virtual_time
async def test_a_reader_that_is_cancelled_leaves_the_reading_to_another() -> None:
    source = Source()
    source.wait_s = 1
    cache = cache_of(source, ttl_s=5)
    answers: list[Event | None] = []

    async def ask() -> None:
        answers.append(await cache.get("event-1"))

    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(0.5):
            async with anyio.create_task_group() as first:
                first.start_soon(cache.get, "event-1")
                await anyio.sleep(0.1)
                tasks.start_soon(ask)
    assert answers == [EVENT]
    assert len(source.reads) == 2


async def test_what_is_remembered_is_bounded(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_cache, "_MAX_EVENTS", 3)
    cache = cache_of(source, ttl_s=60)

    for number in range(4):
        await cache.get(f"event-{number}")
    await cache.get("event-3")
    assert len(source.reads) == 4
    await cache.get("event-0")
    assert len(source.reads) == 5
