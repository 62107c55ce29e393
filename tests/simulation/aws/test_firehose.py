"""The model's stream: what it takes in a second, and the objects that it makes."""

import pytest

from config.quotas import Limits
from simulation.aws.account import Account
from simulation.aws.firehose import Buffering, Stream
from tests.simulation.aws.hand_clock import HandClock, Log

ARN = "arn:aws:firehose:us-east-1:000000000000:deliverystream/lake"


def stream_of(limits: Limits | None = None, **buffering: float) -> tuple[Stream, HandClock, Log]:
    clock, log = HandClock(), Log()
    account = Account(clock, limits or Limits(), observer=log)
    return Stream("lake", account, Buffering(**buffering)), clock, log  # type: ignore[arg-type]


def test_records_are_lines_of_an_object_that_is_written_when_the_oldest_is_old_enough() -> None:
    stream, clock, _ = stream_of(max_age_s=60)
    stream.put_record_batch([b"a", b"b"])
    clock.advance(59)
    stream.put_record_batch([b"c"])
    assert stream.objects == []

    clock.advance(1)

    assert [content for _, content in stream.objects] == [b"a\nb\nc\n"]
    clock.advance(1_000)
    assert len(stream.objects) == 1


def test_an_object_lies_under_the_hour_in_which_its_oldest_record_arrived_in_utc() -> None:
    stream, clock, _ = stream_of(max_age_s=600)
    clock.advance(401 - 1)  # 13:59:59
    stream.put_record_batch([b"a"])
    clock.advance(2)
    stream.put_record_batch([b"b"])
    clock.advance(598)
    stream.put_record_batch([b"c"])
    clock.advance(600)

    keys = [key for key, _ in stream.objects]
    assert [key.rpartition("/")[0] for key in keys] == [
        "events/dt=2024-01-03/hour=13",
        "events/dt=2024-01-03/hour=14",
    ]
    assert keys[0].startswith("events/dt=2024-01-03/hour=13/lake-1-2024-01-03-13-59-59-")


def test_an_object_holds_what_fits_with_its_delimiters() -> None:
    stream, clock, _ = stream_of(max_bytes=10, max_age_s=60)

    stream.put_record_batch([b"1234", b"5678", b"abcd", b"ef", b"ghi"])

    assert [content for _, content in stream.objects] == [b"1234\n5678\n", b"abcd\nef\n"]
    clock.advance(60)
    assert [content for _, content in stream.objects][2:] == [b"ghi\n"]


def test_two_objects_of_one_second_have_different_keys() -> None:
    stream, _, _ = stream_of(max_bytes=1)
    stream.put_record_batch([b"a", b"b"])

    assert len({key for key, _ in stream.objects}) == 2


@pytest.mark.parametrize(
    ("limits", "taken", "name"),
    [
        (Limits(firehose_bytes_per_s=9), 3, "firehose_bytes_per_s"),
        (Limits(firehose_records_per_s=2), 2, "firehose_records_per_s"),
    ],
)
def test_records_beyond_a_limit_of_a_second_are_refused_singly(
    limits: Limits, taken: int, name: str
) -> None:
    stream, clock, log = stream_of(limits)
    records = [b"aaa", b"bbb", b"ccc", b"ddd"]

    assert stream.put_record_batch(records) == records[taken:]

    assert log.of("delivered") == [(record,) for record in records[:taken]]
    assert log.of("throttled") == [(name, ARN)] * (4 - taken)
    clock.advance(1)
    assert stream.put_record_batch(records[taken:]) == []


def test_calls_beyond_their_limit_are_refused_as_a_whole() -> None:
    stream, clock, log = stream_of(Limits(firehose_calls_per_s=1))

    assert stream.put_record_batch([b"a"]) == []
    assert stream.put_record_batch([b"b", b"c"]) == [b"b", b"c"]
    clock.advance(1)
    assert stream.put_record_batch([b"b", b"c"]) == []

    assert log.of("throttled") == [("firehose_calls_per_s", ARN)]
