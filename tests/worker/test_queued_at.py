"""Where a decision's queuedAt comes from, and what a producer may say of it (domain §6)."""

from dataclasses import replace
from typing import Any

import pytest

from aws.queue import OutgoingMessage
from aws.table import EventState, Loaded
from schema.items import Capacity, EventConfig, RequestItem
from schema.keys import MAX_TIME_MS
from schema.message import ParticipationMessage
from schema.states import EventType, Status
from tests.aws.model import NOW_MS, SENT_MS
from tests.worker.parts import Requests
from tests.worker.support import World, now_ms, request
from worker import decide
from worker.decide import Reading, queued_at_ms

STORED_MS = NOW_MS - 2_000


def inherited(in_body: int | None, **changes: Any) -> int:
    """The queuedAt of a request by what it and its message's body say."""
    changes = {"queued_at_ms": None, "requested_at_ms": STORED_MS} | changes
    item = Requests().request(status=Status.RECEIVED, **changes)
    candidate = Requests().candidate(item)
    message = replace(candidate.message, queued_at_ms=in_body)
    return queued_at_ms(replace(candidate, message=message), item)


@pytest.mark.parametrize(
    ("stored", "in_body", "expected"),
    [
        (11, NOW_MS - 1_500, 11),
        (11, None, 11),
        (None, NOW_MS - 1_500, NOW_MS - 1_500),
        (None, None, SENT_MS),
    ],
)
def test_it_is_inherited_from_the_item_the_body_or_sqs_in_this_order(
    stored: int | None, in_body: int | None, expected: int
) -> None:
    assert inherited(in_body, queued_at_ms=stored) == expected


@pytest.mark.parametrize("in_body", [STORED_MS, STORED_MS + 1, SENT_MS - 1, SENT_MS])
def test_a_body_is_believed_from_the_storing_of_its_request_to_sqs_s_own_time(
    in_body: int,
) -> None:
    assert inherited(in_body) == in_body


@pytest.mark.parametrize("in_body", [1, STORED_MS - 1, SENT_MS + 1, MAX_TIME_MS])
def test_a_body_is_not_believed_before_or_after_that(in_body: int) -> None:
    assert inherited(in_body) == SENT_MS


def test_a_redrive_days_later_takes_nothing_from_what_the_body_says() -> None:
    days_ago = NOW_MS - 5 * 86_400_000

    assert inherited(days_ago + 7, requested_at_ms=days_ago) == days_ago + 7


def test_without_the_time_of_storing_a_body_is_not_believed() -> None:
    assert inherited(NOW_MS - 1_500, requested_at_ms=None) == SENT_MS


def test_the_first_seat_goes_to_the_first_in_the_queue_not_to_who_claims_to_be() -> None:
    requests = Requests()
    liar, honest = (
        requests.request(status=Status.RECEIVED, queued_at_ms=None, requested_at_ms=STORED_MS)
        for _ in range(2)
    )
    sent = [
        replace(
            requests.candidate(item),
            message=ParticipationMessage(item.request_id, item.event_id, item.user_id, queued_at),
            has_waited=True,
        )
        for item, queued_at in ((liar, 1), (honest, SENT_MS - 1))
    ]
    state = EventState(
        EventConfig(event_id="e1", event_type=EventType.FIRST_COME),
        Capacity(event_id="e1", total=1, remaining=1),
    )
    loaded = Loaded(
        requests={item.request_id: item for item in (liar, honest)}, events={"e1": state}
    )

    plan = decide.plan(sent, loaded, Reading(NOW_MS, NOW_MS, "w1"))

    assert [seeker.item for seeker in plan.seekers["e1"]] == [honest, liar]


async def test_the_worker_stores_and_publishes_no_time_that_a_sender_made_up(
    world: World,
) -> None:
    await world.create_event("E1", capacity=3)
    stored_at = now_ms() - 60_000
    said = {"user-1": 1, "user-2": MAX_TIME_MS, "user-3": stored_at + 30_000}
    received = {
        user: request(
            "E1", user, status=Status.RECEIVED, requested_at_ms=stored_at, queued_at_ms=None
        )
        for user in said
    }
    await world.store(list(received.values()))
    before = now_ms()
    await world.send([_message(received[user], time) for user, time in said.items()])

    async with world.worker():
        await world.until_decided("E1", 3)
        await world.until_empty()

    stored = {item.user_id: item for item in (await world.items("E1")).values()}
    assert stored["user-3"].queued_at_ms == said["user-3"]
    for user in ("user-1", "user-2"):
        assert before <= (stored[user].queued_at_ms or 0) <= now_ms()
    published = {event["detail"]["requestId"]: event["detail"] for event in await world.published()}
    for item in stored.values():
        assert published[item.request_id]["timestamps"]["queuedAt"] == item.queued_at_ms


def _message(item: RequestItem, queued_at: int) -> OutgoingMessage:
    body = ParticipationMessage(item.request_id, item.event_id, item.user_id, queued_at)
    return OutgoingMessage(body.encode())
