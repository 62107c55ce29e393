"""Properties of the schema: the codecs lose nothing, and no input makes a decoder raise."""

from dataclasses import replace

import jsonschema
import orjson
from hypothesis import given
from hypothesis import strategies as st

from schema import attributes, events, json_schemas, keys, message, names
from schema.events import DeliveryInfo, Timestamps
from schema.items import Capacity, Change, EventConfig, RequestItem
from schema.message import DefectReason, MessageDefect, ParticipationMessage
from schema.states import FINAL_STATUSES, Status
from tests.strategies import (
    characters,
    decided_requests,
    ids,
    maybe_times_ms,
    messages,
    requests,
    texts,
    times_ms,
)

PROCESSED = jsonschema.Draft202012Validator(json_schemas.load(names.PARTICIPATION_PROCESSED))
FAILED = jsonschema.Draft202012Validator(json_schemas.load(names.REQUEST_FAILED))
MOST = 2**53 - 1
UNDECIDED = (Status.RECEIVED, Status.QUEUED, Status.PROCESSING)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
almost_messages = st.dictionaries(
    st.sampled_from(["requestId", "eventId", "userId", "queuedAt"]) | texts,
    ids | times_ms | json_values,
    max_size=6,
)


@given(messages)
def test_a_message_survives_its_encoding(sent: ParticipationMessage) -> None:
    assert message.decode(sent.encode()) == sent


@given(st.text(max_size=200))
def test_no_text_makes_the_decoder_raise(body: str) -> None:
    assert isinstance(message.decode(body), MessageDefect | ParticipationMessage)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_decoder_raise(body: bytes) -> None:
    read = message.decode(body.decode("utf-8", "surrogateescape"))

    assert isinstance(read, MessageDefect | ParticipationMessage)


@given(almost_messages | json_values)
def test_json_is_either_a_message_with_sound_fields_or_a_defect(document: object) -> None:
    read = message.decode(orjson.dumps(document).decode())

    if isinstance(read, ParticipationMessage):
        assert all((read.request_id, read.event_id, read.user_id))
        assert read.queued_at_ms is None or 0 < read.queued_at_ms <= keys.MAX_TIME_MS
        assert message.decode(read.encode()) == read
    else:
        assert read.detail


@given(requests)
def test_a_request_survives_its_storage(request: RequestItem) -> None:
    assert RequestItem.from_item(request.to_item()) == request


@given(ids, texts, maybe_times_ms, maybe_times_ms)
def test_an_event_s_configuration_survives_its_storage(
    event_id: str, event_type: str, opens_at: int | None, closes_at: int | None
) -> None:
    config = EventConfig(
        event_id=event_id, event_type=event_type, opens_at_ms=opens_at, closes_at_ms=closes_at
    )

    assert EventConfig.from_item(event_id, config.to_item()) == config


@given(ids, st.integers(0, MOST), st.integers(-MOST, MOST), maybe_times_ms)
def test_a_capacity_survives_its_storage(
    event_id: str, total: int, remaining: int, updated_at: int | None
) -> None:
    capacity = Capacity(
        event_id=event_id, total=total, remaining=remaining, updated_at_ms=updated_at
    )

    assert Capacity.from_item(event_id, capacity.to_item()) == capacity


@given(
    st.builds(replace, requests, status=st.sampled_from(UNDECIDED)),
    st.builds(replace, requests, status=st.sampled_from(sorted(FINAL_STATUSES))),
)
def test_a_step_applied_to_the_stored_item_gives_the_item_that_it_promises(
    before: RequestItem, after: RequestItem
) -> None:
    """Whatever an earlier attempt left behind; what no decision changes must stay."""
    after = replace(
        after,
        request_id=before.request_id,
        event_id=before.event_id,
        user_id=before.user_id,
        event_type=before.event_type,
        requested_at_ms=before.requested_at_ms,
        dlq_at_ms=before.dlq_at_ms,
        ttl_s=before.ttl_s,
        queued_at_ms=before.queued_at_ms or after.queued_at_ms,
    )

    stored = before.to_item() | Change(before, after).assignments()

    assert RequestItem.from_item(stored) == after
    present = {name: value for name, value in stored.items() if value != attributes.NULL}
    assert present == after.to_item()


@given(decided_requests(), ids)
def test_the_same_item_gives_the_same_valid_bytes(request: RequestItem, env: str) -> None:
    stored = RequestItem.from_item(request.to_item())

    first = events.encode(events.participation_processed(request, env=env))
    again = events.encode(events.participation_processed(stored, env=env))

    assert first == again
    assert b"\n" not in first
    PROCESSED.validate(orjson.loads(first))


@given(
    st.builds(
        MessageDefect,
        reason=st.sampled_from(DefectReason),
        detail=st.text(characters, max_size=600),
        request_id=st.none() | ids,
        event_id=st.none() | ids,
    ),
    st.lists(times_ms, min_size=3, max_size=3),
    st.integers(1, 1_000),
    ids,
)
def test_every_quarantined_message_has_a_valid_event(
    defect: MessageDefect, times: list[int], attempt: int, worker_id: str
) -> None:
    event = events.request_failed(
        defect,
        env="dev",
        worker_id=worker_id,
        timestamps=Timestamps(*sorted(times)),
        delivery=DeliveryInfo(attempt, isDlq=False),
    )

    FAILED.validate(orjson.loads(events.encode(event)))


@given(ids, ids, ids, ids)
def test_two_clicks_share_an_id_only_if_they_are_the_same(
    event_id: str, user_id: str, other_event_id: str, other_user_id: str
) -> None:
    same = (event_id, user_id) == (other_event_id, other_user_id)

    named_alike = keys.request_id(event_id, user_id) == keys.request_id(
        other_event_id, other_user_id
    )

    assert named_alike == same


@given(st.text("a:1", min_size=1, max_size=6))
def test_no_split_of_a_text_gives_two_clicks_the_same_id(text: str) -> None:
    splits = [(text[:i], text[i:]) for i in range(1, len(text))]

    named = {keys.request_id(*split) for split in splits}

    assert len(named) == len(splits)


@given(times_ms, ids, times_ms, ids)
def test_index_keys_sort_by_time_and_then_by_request(
    time_ms: int, request_id: str, other_time_ms: int, other_request_id: str
) -> None:
    by_key = keys.user_index_sk(time_ms, request_id) < keys.user_index_sk(
        other_time_ms, other_request_id
    )

    assert by_key == ((time_ms, request_id) < (other_time_ms, other_request_id))


@given(requests)
def test_every_item_fits_in_a_dynamodb_key(request: RequestItem) -> None:
    item = request.to_item()

    for name in ("PK", "GSI1PK", "GSI2PK"):
        assert len(str(item.get(name, {}).get("S", "")).encode()) <= 2_048
    for name in ("SK", "GSI1SK", "GSI2SK"):
        assert len(str(item.get(name, {}).get("S", "")).encode()) <= 1_024
