"""Properties of the batcher under any schedule of submitters, sizes, failures and impatience."""

from collections.abc import Sequence
from dataclasses import dataclass

import anyio
from hypothesis import given
from hypothesis import strategies as st

from runtime.batcher import Batcher, BatchLimits, ItemTooLargeError, Trigger
from tests import virtual_time


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to send."""

    number: int
    size: int
    fails: bool


@dataclass(frozen=True, slots=True)
class Submission:
    """Items that one caller submits together, and when it gives up waiting."""

    after_s: float
    items: tuple[Item, ...]
    patience_s: float | None


class RefusedError(Exception):
    """A service's answer to one item."""


@st.composite
def submissions(draw: st.DrawFn) -> list[Submission]:
    """Some callers; items are numbered in the order of their submission."""
    numbers = iter(range(10_000))
    return [
        Submission(
            draw(st.sampled_from([0.0, 0.0, 0.1, 1.0, 3.0])),
            tuple(
                Item(next(numbers), draw(st.integers(0, 12)), draw(st.booleans()))
                for _ in range(draw(st.integers(1, 7)))
            ),
            draw(st.none() | st.sampled_from([0.0, 0.5, 2.0])),
        )
        for _ in range(draw(st.integers(1, 12)))
    ]


limits = st.builds(
    BatchLimits,
    max_items=st.integers(1, 5),
    max_bytes=st.none() | st.integers(1, 20),
    linger_s=st.sampled_from([0.0, 0.05, 1.0]),
    concurrency=st.integers(1, 3),
    eager=st.booleans(),
)
durations = st.lists(st.sampled_from([0.0, 0.01, 0.7]), min_size=1, max_size=5)


@dataclass(slots=True)
class Run:
    """What happened: the batches as they left, and what each patient caller got."""

    batches: list[list[Item]]
    flushes: list[tuple[int, Trigger]]
    results: dict[int, object]
    most_under_way: int
    pending_at_the_end: int


def run(
    schedule: Sequence[Submission], limits: BatchLimits, durations_s: Sequence[float], broken: int
) -> Run:
    """Play a schedule; every `broken`-th call (0: none) raises instead of answering."""
    played = Run([], [], {}, 0, -1)
    under_way = 0

    async def send(items: Sequence[Item]) -> list[int | Exception]:
        nonlocal under_way
        played.batches.append(list(items))
        number = len(played.batches)
        under_way += 1
        played.most_under_way = max(played.most_under_way, under_way)
        await anyio.sleep(durations_s[number % len(durations_s)])
        under_way -= 1
        if broken and number % broken == 0:
            raise ConnectionError(f"call {number}")
        return [RefusedError() if item.fails else item.number for item in items]

    class Observer:
        def flushed(self, stage: str, items: int, trigger: Trigger) -> None:  # noqa: ARG002
            played.flushes.append((items, trigger))

    async def submit(batcher: Batcher[Item, int], submission: Submission) -> None:
        with anyio.move_on_after(submission.patience_s):
            results = await batcher.submit_many(submission.items)
            for item, result in zip(submission.items, results, strict=True):
                played.results[item.number] = result

    async def main() -> None:
        async with (
            anyio.create_task_group() as tasks,
            Batcher(
                send, limits, stage="x", size_of=lambda item: item.size, observer=Observer()
            ) as batcher,
        ):
            for submission in schedule:
                await anyio.sleep(submission.after_s)
                tasks.start_soon(submit, batcher, submission)
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
        played.pending_at_the_end = batcher.pending

    virtual_time.run(main)
    return played


def submitted(schedule: Sequence[Submission], limits: BatchLimits) -> list[Item]:
    """The items that must be sent: those that fit a batch alone, and whose caller waited at all."""
    return [
        item
        for submission in schedule
        if submission.patience_s != 0.0
        for item in submission.items
        if limits.max_bytes is None or item.size <= limits.max_bytes
    ]


@given(submissions(), limits, durations)
def test_it_loses_nothing_doubles_nothing_and_reorders_nothing(
    schedule: list[Submission], limits: BatchLimits, durations_s: list[float]
) -> None:
    played = run(schedule, limits, durations_s, broken=0)

    sent = [item for batch in played.batches for item in batch]
    must = submitted(schedule, limits)
    impatient = {
        item.number
        for submission in schedule
        if submission.patience_s == 0.0
        for item in submission.items
    }
    assert [item for item in sent if item.number not in impatient] == must
    assert [item.number for item in sent] == sorted({item.number for item in sent})


@given(submissions(), limits, durations)
def test_no_batch_is_empty_or_exceeds_count_or_bytes_or_concurrency(
    schedule: list[Submission], limits: BatchLimits, durations_s: list[float]
) -> None:
    played = run(schedule, limits, durations_s, broken=0)

    for batch in played.batches:
        assert 1 <= len(batch) <= limits.max_items
        assert limits.max_bytes is None or sum(i.size for i in batch) <= limits.max_bytes
    assert played.most_under_way <= limits.concurrency
    assert [items for items, _ in played.flushes] == [len(batch) for batch in played.batches]
    assert played.pending_at_the_end == 0


@given(submissions(), limits, durations, st.integers(0, 3))
def test_each_submitter_gets_exactly_its_own_items_results(
    schedule: list[Submission], limits: BatchLimits, durations_s: list[float], broken: int
) -> None:
    played = run(schedule, limits, durations_s, broken)

    calls = {
        item.number: number
        for number, batch in enumerate(played.batches, start=1)
        for item in batch
    }
    for submission in schedule:
        if submission.patience_s is not None:
            continue
        for item in submission.items:
            result = played.results[item.number]
            if limits.max_bytes is not None and item.size > limits.max_bytes:
                assert isinstance(result, ItemTooLargeError)
            elif broken and calls[item.number] % broken == 0:
                assert str(result) == f"call {calls[item.number]}"
            elif item.fails:
                assert isinstance(result, RefusedError)
            else:
                assert result == item.number


@given(submissions(), limits)
def test_a_batch_leaves_early_only_for_a_reason(
    schedule: list[Submission], limits: BatchLimits
) -> None:
    played = run(schedule, limits, [0.0], broken=0)

    for batch, (_, trigger) in zip(played.batches, played.flushes, strict=True):
        if trigger is Trigger.COUNT:
            # Bytes may cut a batch that had the count.
            assert len(batch) == limits.max_items or limits.max_bytes is not None
        if trigger is Trigger.IDLE:
            assert limits.eager
        if trigger is Trigger.BYTES:
            assert limits.max_bytes is not None
