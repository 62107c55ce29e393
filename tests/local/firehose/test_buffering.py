"""What the buffer guarantees of each object: nothing lost, nothing twice, never too large."""

from hypothesis import given
from hypothesis import strategies as st

from local.firehose.buffering import Batch, Buffer, Record

MAX_BYTES = 100
MAX_AGE_S = 60.0

sizes = st.integers(1, 3 * MAX_BYTES)
pauses = st.integers(0, 2 * int(MAX_AGE_S))  # whole seconds: no rounding


def record(number: int, size: int = 1, arrived_at_ms: int = 0) -> Record:
    return Record(bytes(size), arrived_at_ms, str(number))


def handles(batches: list[Batch]) -> list[str]:
    return [r.receipt_handle for batch in batches for r in batch.records]


@given(st.lists(st.tuples(sizes, pauses)))
def test_every_record_is_in_exactly_one_object_and_in_order(
    steps: list[tuple[int, int]],
) -> None:
    buffer = Buffer(MAX_BYTES, MAX_AGE_S)
    batches: list[Batch] = []
    now_s = 0.0
    for number, (size, pause) in enumerate(steps):
        now_s += pause
        batches += buffer.take_due(now_s)
        batches += buffer.add(record(number, size), now_s)
    batches += buffer.take()
    assert handles(batches) == [str(number) for number in range(len(steps))]
    assert buffer.take() == []
    assert all(batch.records for batch in batches)


@given(st.lists(sizes))
def test_an_object_exceeds_the_limit_only_as_a_single_record(record_sizes: list[int]) -> None:
    buffer = Buffer(MAX_BYTES, MAX_AGE_S)
    batches = [
        batch
        for number, size in enumerate(record_sizes)
        for batch in buffer.add(record(number, size), 0.0)
    ]
    for batch in batches + buffer.take():
        assert len(batch.body) <= MAX_BYTES or len(batch.records) == 1


@given(st.lists(st.tuples(sizes, pauses), min_size=1))
def test_no_record_waits_longer_than_the_age_limit(steps: list[tuple[int, int]]) -> None:
    buffer = Buffer(MAX_BYTES, MAX_AGE_S)
    now_s = 0.0
    added_at_s: dict[str, float] = {}
    for number, (size, pause) in enumerate(steps):
        now_s += pause
        # The caller looks at the time that the buffer names, not before.
        if buffer.due_at_s is not None and buffer.due_at_s <= now_s:
            due_at_s = buffer.due_at_s
            for handle in handles(buffer.take_due(due_at_s)):
                assert due_at_s - added_at_s[handle] <= MAX_AGE_S
            assert buffer.due_at_s is None
        added_at_s[str(number)] = now_s
        buffer.add(record(number, size), now_s)


def test_objects_are_as_large_as_the_limit_allows() -> None:
    buffer = Buffer(MAX_BYTES, MAX_AGE_S)
    assert buffer.add(record(0, 40), 0.0) == []
    assert buffer.add(record(1, 59), 0.0) == []
    assert handles(buffer.add(record(2, 1), 0.0)) == ["0", "1", "2"]


def test_a_record_that_does_not_fit_begins_the_next_object() -> None:
    buffer = Buffer(MAX_BYTES, MAX_AGE_S)
    buffer.add(record(0, 60), 0.0)
    assert handles(buffer.add(record(1, 60), 1.0)) == ["0"]
    assert buffer.due_at_s == 1.0 + MAX_AGE_S
    assert handles(buffer.take()) == ["1"]


def test_nothing_is_due_before_its_time() -> None:
    buffer = Buffer(MAX_BYTES, MAX_AGE_S)
    assert buffer.due_at_s is None
    buffer.add(record(0), 10.0)
    assert buffer.take_due(10.0 + MAX_AGE_S - 0.001) == []
    assert handles(buffer.take_due(10.0 + MAX_AGE_S)) == ["0"]


def test_the_oldest_record_dates_the_object_wherever_it_stands() -> None:
    batch = Batch(
        (record(0, arrived_at_ms=5), record(1, arrived_at_ms=3), record(2, arrived_at_ms=9))
    )
    assert batch.arrived_at_ms == 3
