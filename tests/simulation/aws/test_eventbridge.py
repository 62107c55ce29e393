"""The model's bus: quotas, entries that fail, and what its rule hands to the stream."""

import json
from typing import Any

import pytest

from config.quotas import Limits
from simulation.aws.eventbridge import Rule
from simulation.aws.firehose import Buffering, Stream
from tests.simulation.aws.hand_clock import Log, Model, Pending

BUS_ARN = "arn:aws:events:us-east-1:000000000000:event-bus/default"
STREAM_ARN = "arn:aws:firehose:us-east-1:000000000000:deliverystream/lake"
MIB = 1_048_576


def entry(detail: str = "{}", **others: Any) -> dict[str, Any]:
    return {"Source": "s", "DetailType": "t", "Detail": detail, "EventBusName": "default"} | others


def put(model: Model, *entries: dict[str, Any]) -> Pending:
    return model.call("AWSEvents.PutEvents", Entries=entries)


def with_stream(**limits: float) -> tuple[Model, Stream, Log]:
    log = Log()
    model = Model(limits=Limits(**limits), observer=log)  # type: ignore[arg-type]
    stream = Stream("lake", model.cloud.account, Buffering())
    model.cloud.bus.rules.append(Rule(frozenset({"s"}), frozenset({"t"}), stream))
    return model, stream, log


def delivered(log: Log) -> list[int]:
    return [json.loads(record)["n"] for record in log.records]


def numbered(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [entry(f'{{"n": {number}}}') for number in range(first, first + count)]


def test_calls_beyond_the_quota_of_a_second_are_refused_as_a_whole() -> None:
    log = Log()
    model = Model(limits=Limits(put_events_per_s=3), observer=log)

    answers = [put(model, *numbered(2)) for _ in range(5)]

    assert [answer.status for answer in answers] == [200, 200, 200, 400, 400]
    assert answers[3].error == "ThrottlingException"
    assert log.of("throttled") == [("put_events_per_s", BUS_ARN)] * 2
    assert len(log.of("published")) == 6


def test_the_quota_comes_back_by_and_by_and_is_not_saved_up() -> None:
    model = Model(limits=Limits(put_events_per_s=4))

    def accepted() -> int:
        return [put(model, entry()).status for _ in range(10)].count(200)

    assert accepted() == 4
    model.clock.advance(0.5)
    assert accepted() == 2
    model.clock.advance(60)
    assert accepted() == 4


def test_entries_that_fail_leave_the_others_alone() -> None:
    faults = iter([None, "InternalFailure", "ThrottlingException"])
    asked = []

    def fault(operation: str) -> str | None:
        asked.append(operation)
        return next(faults)

    log = Log()
    model = Model(entry_fault=fault, observer=log)

    answer = put(model, *numbered(3))

    assert answer.status == 200
    assert answer.document is not None
    assert answer.document["FailedEntryCount"] == 2
    assert [e.get("ErrorCode") for e in answer.document["Entries"]] == [
        None,
        "InternalFailure",
        "ThrottlingException",
    ]
    assert log.of("published") == [('{"n": 0}',)]
    assert asked == ["PutEvents"] * 3
    assert (model.cloud.bus.accepted, model.cloud.bus.refused) == (1, 2)


@pytest.mark.parametrize("detail", ["", "{", "[]", "1", "null"])
def test_a_detail_that_is_no_object_fails_its_entry_alone(detail: str) -> None:
    answer = put(Model(), entry(detail), entry()).document

    assert answer is not None
    codes = [result.get("ErrorCode") for result in answer["Entries"]]
    assert (answer["FailedEntryCount"], codes) == (1, ["MalformedDetail", None])


def test_entries_together_stay_below_one_mebibyte() -> None:
    model = Model()
    envelope = len('{"a":""}') + len("s") + len("t")
    largest = MIB - 1 - envelope - 14

    def status(size: int, **others: Any) -> int:
        return put(model, entry('{"a":"' + "x" * size + '"}', **others)).status

    assert status(largest, Time=1) == 200
    assert status(largest + 1, Time=1) == 400
    assert status(largest + 14) == 200
    assert status(largest + 15) == 400
    assert status(largest, Resources=["x" * 14]) == 200
    assert status(largest, Resources=["x" * 15]) == 400


def test_a_bus_that_does_not_exist_accepts_and_drops() -> None:
    model, _, log = with_stream()

    answer = put(model, entry(EventBusName="none")).document

    assert answer is not None
    assert answer["FailedEntryCount"] == 0
    assert log.seen == []
    assert model.cloud.bus.accepted == 0


def test_each_event_that_somebody_watches_has_an_id_of_its_own() -> None:
    model = Model(observer=Log())
    ids = []
    for _ in range(3):
        document = put(model, *numbered(2)).document
        assert document is not None
        ids += [result["EventId"] for result in document["Entries"]]

    assert len(set(ids)) == 6


def test_the_rule_takes_its_sources_and_detail_types_and_the_detail_alone() -> None:
    model, _, log = with_stream()

    put(model, entry('{"n": 1}'), entry(Source="other"), entry(DetailType="other"))

    assert log.of("delivered") == [(b'{"n": 1}',)]
    assert len(log.of("published")) == 3


def test_what_exceeds_the_invocations_comes_later_in_order_and_is_not_lost() -> None:
    model, _, log = with_stream(invocations_per_s=20)
    for first in range(0, 50, 10):
        put(model, *numbered(10, first))

    assert delivered(log) == list(range(20))
    assert log.of("throttled") == [("invocations_per_s", BUS_ARN)] * 30
    model.clock.advance(1.0)
    assert delivered(log) == list(range(40))
    model.clock.advance(0.6)
    assert delivered(log) == list(range(50))
    assert model.clock.alarms == 1  # of the stream's buffer


def test_what_the_stream_refuses_is_delivered_by_a_later_attempt() -> None:
    model, _, log = with_stream(firehose_records_per_s=4)

    put(model, *numbered(10))

    assert delivered(log) == [0, 1, 2, 3]
    assert log.of("throttled") == [("firehose_records_per_s", STREAM_ARN)] * 6
    model.clock.advance(60)
    assert sorted(delivered(log)) == list(range(10))


def test_a_busy_stream_is_asked_again_ever_later() -> None:
    model, _, log = with_stream(firehose_records_per_s=0.001)
    put(model, *numbered(2))

    model.clock.advance(600)

    assert 8 < len(log.of("throttled")) < 50
    assert delivered(log) == [0]
    model.clock.advance(500)
    assert delivered(log) == [0, 1]
