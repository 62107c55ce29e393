"""The batcher: when a batch leaves, and what each submitter gets."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import pytest

from runtime.batcher import (
    Batcher,
    BatchLimits,
    ClosedError,
    ItemTooLargeError,
    LateError,
    OverloadedError,
    Trigger,
)
from tests.virtual_time import virtual_time


@dataclass(slots=True)
class Service:
    """Takes batches; each item's result is the item in capitals, or its error."""

    takes_s: float = 0.0
    failing: dict[str, Exception] = field(default_factory=dict)
    batches: list[list[str]] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    flushes: list[tuple[str, int, Trigger]] = field(default_factory=list)

    async def send(self, items: Sequence[str]) -> list[str | Exception]:
        self.batches.append(list(items))
        self.at_s.append(anyio.current_time())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await anyio.sleep(self.takes_s)
        finally:
            self.under_way -= 1
        return [self.failing.get(item, item.upper()) for item in items]

    def flushed(self, stage: str, items: int, trigger: Trigger) -> None:
        self.flushes.append((stage, items, trigger))

    def batcher(self, **limits: object) -> Batcher[str, str]:
        return Batcher(
            self.send,
            BatchLimits(**limits),  # type: ignore[arg-type]  # keyword by keyword
            stage="test",
            size_of=len,
            observer=self,
        )


@virtual_time
async def test_a_full_batch_leaves_immediately() -> None:
    service = Service()
    async with service.batcher(max_items=3, linger_s=60) as batcher:
        began_s = anyio.current_time()
        assert await batcher.submit_many(["a", "b", "c"]) == ["A", "B", "C"]
        assert anyio.current_time() - began_s < 0.001

    assert service.flushes == [("test", 3, Trigger.COUNT)]


@virtual_time
async def test_a_batch_that_is_not_full_leaves_when_its_first_item_has_lingered() -> None:
    service = Service()
    async with service.batcher(max_items=3, linger_s=60) as batcher:
        began_s = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(batcher.submit, "a")
            await anyio.sleep(40)
            tasks.start_soon(batcher.submit, "b")

    assert service.batches == [["a", "b"]]
    assert service.at_s[0] - began_s == pytest.approx(60, abs=1e-3)
    assert service.flushes == [("test", 2, Trigger.LINGER)]


@virtual_time
async def test_without_a_linger_what_is_submitted_together_leaves_together() -> None:
    service = Service()
    async with service.batcher(max_items=10) as batcher, anyio.create_task_group() as tasks:
        for item in "abc":
            tasks.start_soon(batcher.submit, item)

    assert service.batches == [["a", "b", "c"]]


@virtual_time
async def test_a_batch_that_reaches_its_bytes_leaves_immediately() -> None:
    service = Service()
    async with service.batcher(max_items=10, max_bytes=6, linger_s=60) as batcher:
        began_s = anyio.current_time()
        await batcher.submit_many(["aaa", "bbb"])
        assert anyio.current_time() - began_s < 0.001

    assert service.flushes == [("test", 2, Trigger.BYTES)]


@virtual_time
async def test_an_item_that_no_longer_fits_waits_for_the_next_batch() -> None:
    service = Service()
    async with service.batcher(max_items=10, max_bytes=6, linger_s=60) as batcher:
        await batcher.submit_many(["aaaa", "bbb", "cc"])

    assert service.batches == [["aaaa"], ["bbb", "cc"]]


@virtual_time
async def test_an_item_too_large_for_any_batch_fails_alone_and_is_not_sent() -> None:
    service = Service()
    async with service.batcher(max_items=10, max_bytes=6) as batcher:
        results = await batcher.submit_many(["a", "b" * 7, "c" * 6])

    assert [results[0], results[2]] == ["A", "CCCCCC"]
    assert isinstance(results[1], ItemTooLargeError)
    assert service.batches == [["a"], ["cccccc"]]


@virtual_time
async def test_only_items_too_large_make_no_call() -> None:
    service = Service()
    async with service.batcher(max_items=10, max_bytes=2) as batcher:
        with pytest.raises(ItemTooLargeError, match="3 bytes exceed the 2 of a batch"):
            await batcher.submit("aaa")

    assert service.batches == []


@virtual_time
async def test_one_item_s_failure_fails_that_item_alone() -> None:
    service = Service(failing={"b": RuntimeError("b is bad")})
    async with service.batcher(max_items=3) as batcher:
        results = await batcher.submit_many(["a", "b", "c"])
        with pytest.raises(RuntimeError, match="b is bad"):
            await batcher.submit("b")

    assert [results[0], results[2]] == ["A", "C"]
    assert isinstance(results[1], RuntimeError)


@virtual_time
async def test_a_call_that_raises_fails_its_own_batch_and_no_other() -> None:
    async def send(items: Sequence[str]) -> list[str | Exception]:
        if "b" in items:
            raise ConnectionError("no answer")
        return list(items)

    async with Batcher(send, BatchLimits(max_items=2)) as batcher:
        results = await batcher.submit_many(["a", "b", "c", "d"])

    assert [type(result) for result in results] == [ConnectionError, ConnectionError, str, str]


@virtual_time
@pytest.mark.parametrize("given", [0, 1, 3])
async def test_an_answer_of_another_length_fails_the_batch(given: int) -> None:
    async def send(items: Sequence[str]) -> list[str | Exception]:
        return ["x"] * given

    async with Batcher(send, BatchLimits(max_items=2)) as batcher:
        results = await batcher.submit_many(["a", "b"])

    assert [str(result) for result in results] == [f"{given} results for 2 items"] * 2


@virtual_time
async def test_no_more_calls_are_under_way_than_allowed() -> None:
    service = Service(takes_s=1)
    async with service.batcher(max_items=1, concurrency=3) as batcher:
        await batcher.submit_many([str(n) for n in range(10)])

    assert service.most_under_way == 3


@virtual_time
async def test_a_slow_call_does_not_hold_the_next_one_up() -> None:
    service = Service(takes_s=100)
    async with service.batcher(max_items=1, concurrency=2) as batcher:
        began_s = anyio.current_time()
        await batcher.submit_many(["a", "b"])
        assert anyio.current_time() - began_s == pytest.approx(100, abs=1e-3)


@virtual_time
async def test_items_that_wait_for_a_slot_fill_the_next_batch() -> None:
    service = Service(takes_s=1)
    async with service.batcher(max_items=5) as batcher, anyio.create_task_group() as tasks:
        tasks.start_soon(batcher.submit, "a")
        await anyio.sleep(0.1)
        for item in "bcde":
            tasks.start_soon(batcher.submit, item)
            await anyio.sleep(0.1)

    assert service.batches == [["a"], ["b", "c", "d", "e"]]


@virtual_time
async def test_leaving_the_block_sends_what_waits() -> None:
    service = Service()
    results: list[str] = []

    async def submit(item: str) -> None:
        results.append(await batcher.submit(item))

    async with (
        anyio.create_task_group() as submitters,
        service.batcher(max_items=10, linger_s=3_600) as batcher,
    ):
        submitters.start_soon(submit, "a")
        submitters.start_soon(submit, "b")
        await anyio.wait_all_tasks_blocked()
        assert service.batches == []

    assert results == ["A", "B"]
    assert service.flushes == [("test", 2, Trigger.CLOSE)]


@virtual_time
async def test_nothing_is_taken_after_the_close() -> None:
    service = Service()
    async with service.batcher(max_items=10) as batcher:
        pass

    with pytest.raises(ClosedError, match="batcher test is closed"):
        await batcher.submit("a")


@virtual_time
async def test_leaving_by_an_error_fails_what_waits_and_what_is_under_way() -> None:
    service = Service(takes_s=3_600)
    failed: list[Exception] = []

    async def submit(item: str) -> None:
        try:
            await batcher.submit(item)
        except ClosedError as error:
            failed.append(error)

    async with anyio.create_task_group() as submitters:
        try:
            async with service.batcher(max_items=2) as batcher:
                for item in "abc":
                    submitters.start_soon(submit, item)
                await anyio.sleep(1)
                assert service.batches == [["a", "b"]]
                raise ZeroDivisionError  # noqa: TRY301 - what ends the block
        except* ZeroDivisionError:
            pass

    assert len(failed) == 3


@virtual_time
async def test_leaving_by_an_error_sends_nothing_of_what_waits() -> None:
    service = Service()

    async def submit() -> None:
        results = await batcher.submit_many("abc")
        assert [type(result) for result in results] == [ClosedError] * 3

    async with anyio.create_task_group() as submitters:
        try:
            async with service.batcher(max_items=10, linger_s=60, concurrency=3) as batcher:
                submitters.start_soon(submit)
                await anyio.sleep(1)
                raise ZeroDivisionError  # noqa: TRY301 - what ends the block
        except* ZeroDivisionError:
            pass

    assert service.batches == []


@pytest.mark.parametrize("use_uvloop", [False, True])
def test_while_a_batch_lingers_its_clock_is_not_read_over_and_over(*, use_uvloop: bool) -> None:
    service = Service()
    asked = 0

    class Counting(Batcher[str, str]):
        def _due(self) -> Trigger | None:
            nonlocal asked
            asked += 1
            return super()._due()

    async def main() -> None:
        limits = BatchLimits(max_items=10, linger_s=0.02)
        async with Counting(service.send, limits) as batcher:
            for _ in range(25):
                await batcher.submit("a")

    anyio.run(main, backend_options={"use_uvloop": use_uvloop})

    assert len(service.batches) == 25
    assert asked < 25 * 8


@virtual_time
async def test_a_cancelled_submitter_hurts_nobody_else() -> None:
    service = Service(takes_s=1)
    async with service.batcher(max_items=3, linger_s=10) as batcher:
        async with anyio.create_task_group() as tasks:
            impatient = anyio.CancelScope()

            async def give_up() -> None:
                with impatient:
                    await batcher.submit("a")

            tasks.start_soon(give_up)
            await anyio.wait_all_tasks_blocked()
            impatient.cancel()
            assert await batcher.submit_many(["b", "c"]) == ["B", "C"]
        assert batcher.pending == 0

    assert service.batches == [["a", "b", "c"]]


@virtual_time
async def test_an_eager_batcher_sends_immediately_while_it_is_idle() -> None:
    service = Service(takes_s=1)
    async with service.batcher(max_items=10, linger_s=60, eager=True) as batcher:
        began_s = anyio.current_time()
        await batcher.submit("a")
        assert anyio.current_time() - began_s == pytest.approx(1, abs=1e-3)

    assert service.flushes == [("test", 1, Trigger.IDLE)]


@virtual_time
async def test_an_eager_batcher_gathers_what_comes_while_a_call_is_under_way() -> None:
    service = Service(takes_s=1)
    async with (
        service.batcher(max_items=10, linger_s=60, eager=True, concurrency=4) as batcher,
        anyio.create_task_group() as tasks,
    ):
        for item in "abcd":
            tasks.start_soon(batcher.submit, item)
            await anyio.sleep(0.1)

    assert service.batches == [["a"], ["b", "c", "d"]]


@virtual_time
async def test_beyond_its_bound_it_takes_nothing_and_says_so() -> None:
    service = Service(takes_s=1)
    async with service.batcher(max_items=2, max_pending=4) as batcher:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(batcher.submit_many, ["a", "b", "c"])
            await anyio.wait_all_tasks_blocked()
            assert batcher.pending == 3
            with pytest.raises(OverloadedError, match="holds 4 items already"):
                await batcher.submit_many(["d", "e"])
            assert await batcher.submit("d") == "D"
        assert batcher.pending == 0

    assert service.batches == [["a", "b"], ["c", "d"]]


@virtual_time
async def test_submitting_nothing_makes_no_call() -> None:
    service = Service()
    async with service.batcher(max_items=2) as batcher:
        assert await batcher.submit_many([]) == ()

    assert service.batches == []


@virtual_time
async def test_whoever_waits_too_long_gets_an_error_and_what_was_not_sent_never_is() -> None:
    service = Service(takes_s=10)
    late_s: list[float] = []

    async def submit(batcher: Batcher[str, str], item: str) -> None:
        began_s = anyio.current_time()
        with pytest.raises(LateError):
            await batcher.submit(item)
        late_s.append(anyio.current_time() - began_s)

    async with service.batcher(max_items=1, eager=True, patience_s=1) as batcher:
        async with anyio.create_task_group() as tasks:
            for item in ("a", "b", "c"):
                tasks.start_soon(submit, batcher, item)
                await anyio.sleep(0.4)
        assert late_s == pytest.approx([1.0] * 3, abs=0.001)
        assert batcher.pending == 1
    assert service.batches == [["a"]]


@virtual_time
async def test_a_result_in_time_is_a_result_whatever_was_late_before_it() -> None:
    service = Service(takes_s=1.5)
    async with service.batcher(max_items=1, eager=True, patience_s=1) as batcher:
        with pytest.raises(LateError):
            await batcher.submit("late")
        service.takes_s = 0.1
        for item in ("b", "c", "d"):
            await anyio.sleep(0.9)
            assert await batcher.submit(item) == item.upper()


@virtual_time
async def test_of_a_group_only_what_is_late_is_given_up() -> None:
    service = Service(takes_s=0.5)
    async with service.batcher(max_items=2, patience_s=1) as batcher:
        results = await batcher.submit_many(["a", "b", "c", "d", "e", "f"])

    assert results[:2] == ["A", "B"]
    assert [type(result) for result in results[4:]] == [LateError] * 2


@virtual_time
async def test_bytes_of_what_was_given_up_make_no_batch_full() -> None:
    service = Service(takes_s=3)
    async with (
        service.batcher(
            max_items=9, max_bytes=10, linger_s=0.2, eager=True, patience_s=1
        ) as batcher,
        anyio.create_task_group() as tasks,
    ):

        async def submit(items: Sequence[str]) -> None:
            results = await batcher.submit_many(items)
            assert [type(result) for result in results] == [LateError] * len(items)

        tasks.start_soon(submit, ["first"])
        await anyio.sleep(0.1)
        tasks.start_soon(submit, ["eightxxx", "also"])
        await anyio.sleep(3.5)
        service.takes_s = 0
        assert await batcher.submit("x") == "X"
        assert batcher.pending == 0
    assert service.flushes[-1] == ("test", 1, Trigger.IDLE)
