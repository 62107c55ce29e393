"""What log lines, records and readings become on the page."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from aws.table import EventState
from local.demo.scrape import Sample, Samples
from local.firehose.delivery import Delivered
from local.live.live import Live
from local.live.readings import Depth, Readings
from local.live.snapshot import Burst, Fault, Snapshot, Tone, status
from local.live.tally import Tally, percentile
from schema.items import Capacity, EventConfig
from schema.states import EventType

NOW_MS = 1_700_000_000_000


class Clock:
    """Epoch milliseconds, by hand."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def live(clock: Clock) -> Live:
    return Live("e", 10, clock)


def record(request_id: str, code: str = "SUCCESS", event_id: str = "e", queue_ms: int = 5) -> str:
    times = {"queuedAt": 100, "startedAt": 100 + queue_ms, "finishedAt": 110 + queue_ms}
    return orjson.dumps(
        {"eventId": event_id, "requestId": request_id, "resultCode": code, "timestamps": times}
    ).decode()


def worker(settled: float, calls: float, lost: float = 0) -> Samples:
    return Samples(
        (
            Sample("worker_messages_settled_total", {"outcome": "succeeded"}, settled),
            Sample("aws_call_seconds_count", {"operation": "PutEvents"}, calls),
            Sample("worker_publish_failures_total", {"reason": "throttled"}, lost),
        )
    )


def ingest(**answers: float) -> Samples:
    return Samples(
        tuple(
            Sample("ingest_requests_total", {"route": "participate", "status": name[1:]}, count)
            for name, count in answers.items()
        )
    )


def event(seats: int, left: int, closes_at_ms: int | None = None) -> EventState:
    return EventState(
        EventConfig(event_id="e", event_type=EventType.FIRST_COME, closes_at_ms=closes_at_ms),
        Capacity(event_id="e", total=seats, remaining=left),
    )


def now(live: Live) -> Snapshot:
    return live.snapshot(Delivered())


def test_each_request_is_counted_once_by_its_result_and_other_events_are_left() -> None:
    tally = Tally("e")
    for line in (
        record("a"),
        record("a"),
        record("b", "REJECTED_CAPACITY"),
        record("c", "FAILED_WORKER"),
        record("d", event_id="other"),
        '{"eventId": "e", "requestId": "f", "queuedAt": 1}',
    ):
        tally.add(line)

    assert tally.outcomes == {"succeeded": 1, "rejected": 1, "failed": 1}
    assert [decision.request_id for decision in tally.latest] == ["c", "b", "a"]


def test_delays_are_the_percentiles_of_the_latest_decisions() -> None:
    assert Tally("e").delays is None
    tally = Tally("e")
    for number in range(1_100):
        tally.add(record(str(number), queue_ms=number))

    delays = tally.delays
    assert delays is not None
    assert (delays.count, delays.queue_p50_ms, delays.queue_p95_ms) == (1_000, 599, 1_049)
    assert delays.e2e_p95_ms == 1_059
    assert len(tally.latest) == 8


@pytest.mark.parametrize(("percent", "value"), [(1, 1), (50, 2), (75, 3), (76, 4), (100, 4)])
def test_a_percentile_is_the_nearest_rank(percent: int, value: int) -> None:
    assert percentile([1, 2, 3, 4], percent) == value


def test_clicks_are_the_event_s_and_seconds_are_what_was_added(live: Live) -> None:
    live.read(Readings(ingest=ingest(s202=5, s409=1)))
    live.begin("next")
    live.read(Readings(ingest=ingest(s202=12, s409=1, s503=2)))

    shown = now(live)
    assert (shown.clicks_accepted, shown.clicks_refused) == (7, 2)
    assert [second[0] for second in shown.course] == [5, 7]


def test_clicks_from_elsewhere_are_reported_when_they_begin(live: Live) -> None:
    def said(clicks: int) -> int:
        live.read(Readings(ingest=ingest(s202=clicks)))
        return len(now(live).happenings)

    live.own_clicks = 5
    assert said(5) == 0
    assert said(6) == 1
    assert said(9) == 1
    live.burst = Burst(0, 20)
    assert said(19) == 1
    live.burst, live.own_clicks = None, 25
    assert [said(29) for _ in range(10)] == [1] * 10
    assert said(30) == 2
    assert {h.text for h in now(live).happenings} == {
        "Clicks arrive from elsewhere: not from this page's buttons."
    }


def test_a_restarted_worker_s_counters_go_on(live: Live) -> None:
    live.read(Readings(worker=worker(100, 40, lost=3)))
    live.read(Readings(worker=None))
    live.read(Readings(worker=worker(20, 20, lost=1)))

    shown = now(live)
    assert shown.unpublished == 4
    assert shown.calls_a_message == pytest.approx(60 / 120)


def test_an_idle_worker_s_polls_are_no_message_s_calls(live: Live) -> None:
    live.read(Readings(worker=worker(0, 500)))
    assert now(live).calls_a_message is None
    live.read(Readings(worker=worker(10, 504)))
    live.read(Readings(worker=worker(10, 9_000)))

    assert now(live).calls_a_message == pytest.approx(0.4)


def test_a_figure_that_cannot_be_read_stays_as_it_was(live: Live) -> None:
    live.read(Readings(queue=Depth(3, 4), dlq=Depth(1), event=event(10, 6)))
    live.read(Readings())

    shown = now(live)
    assert (shown.waiting, shown.held, shown.dlq, shown.seats_left) == (3, 4, 1, 6)


def test_a_pause_is_shown_and_measured_until_the_worker_goes_on(live: Live, clock: Clock) -> None:
    live.on_line("worker", {"event": "worker_started"})
    live.on_line("worker", {"event": "worker_paused", "service": "dynamodb"})
    live.read(Readings(queue=Depth(120, 30)))
    clock.now_ms += 2_000
    paused = now(live)
    clock.now_ms += 1_000
    live.on_line("worker", {"event": "worker_resumed", "service": "dynamodb"})
    clock.now_ms += 60_000
    resumed = now(live)

    assert status(paused).title == "Paused: DynamoDB does not answer"
    assert status(paused).text.startswith("150 messages wait. ")
    assert paused.paused_s == 2
    assert (resumed.paused, resumed.pauses, resumed.paused_s) == ((), 1, 3)
    assert [happening.number for happening in resumed.happenings] == [1, 2]


def test_a_killed_worker_is_gone_until_another_one_has_started(live: Live) -> None:
    live.on_line("worker", {"event": "worker_started"})
    live.on_line("worker", {"event": "worker_paused", "service": "sqs"})
    live.on_line("worker", {"event": "worker_ended", "exit_code": -9})
    live.read(Readings(queue=Depth(0, 7)))
    gone = now(live)
    live.on_line("worker", {"event": "worker_started"})

    assert status(gone).title == "The worker is gone"
    assert "7, come back within 10 s" in status(gone).text
    assert gone.paused == ()
    assert (now(live).worker_is_running, now(live).worker_starts) == (True, 2)


def running(**changes: Any) -> Snapshot:
    live = Live("e", 10, Clock())
    live.on_line("worker", {"event": "worker_started"})
    live.read(Readings(event=event(10, 5)))
    return replace(now(live), **changes)


@pytest.mark.parametrize(
    ("changes", "tone", "title"),
    [
        ({}, Tone.GOOD, "Ready"),
        ({"away": ("dynamodb", "sqs")}, Tone.WARN, "DynamoDB and SQS do not answer ingest"),
        ({"faults": (Fault("eventbridge", 0),)}, Tone.WARN, "EventBridge throttles"),
        ({"waiting": 1}, Tone.CALM, "Deciding"),
        ({"kept": 3}, Tone.WARN, "Events to publish again"),
        ({"is_closed": True}, Tone.GOOD, "Closed"),
        ({"seats_left": 0}, Tone.GOOD, "Sold out"),
    ],
)
def test_the_status_says_what_is_seen(changes: dict[str, Any], tone: Tone, title: str) -> None:
    found = status(running(**changes))

    assert (found.tone, found.title) == (tone, title)


def test_an_event_is_closed_once_its_time_has_come(live: Live) -> None:
    live.read(Readings(event=event(10, 5, closes_at_ms=NOW_MS + 1)))
    assert not now(live).is_closed
    live.read(Readings(event=event(10, 5, closes_at_ms=NOW_MS)))
    assert now(live).is_closed


def test_ingest_s_outage_and_lost_events_are_taken_from_its_log(live: Live) -> None:
    live.on_line("ingest", {"event": "service_away", "service": "dynamodb"})
    assert now(live).away == ("dynamodb",)
    live.on_line("ingest", {"event": "service_back", "service": "dynamodb"})
    for lost in (["a", "b"], ["c"]):
        live.on_line("worker", {"event": "publish_failed", "request_ids": lost})
    live.on_line("worker", {"event": "message_quarantined"})
    live.read(Readings())
    live.read(Readings())

    assert now(live).away == ()
    assert live.lost_ids == {"a", "b", "c"}
    assert [happening.text for happening in now(live).happenings] == [
        "Events that could not be published: 3.",
        "Messages moved to the dead-letter queue: 1.",
    ]
