"""Values for the property tests: ids, times, requests, messages."""

from hypothesis import strategies as st

from schema.items import RequestItem
from schema.keys import MAX_TIME_MS
from schema.message import MAX_ID_BYTES, ParticipationMessage
from schema.states import EventType, FailureClass, ResultCode, Status

# DynamoDB and JSON hold Unicode, which surrogates are no part of.
characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=300)
ids = st.text(characters, min_size=1, max_size=128).filter(
    lambda value: len(value.encode()) <= MAX_ID_BYTES
)
times_ms = st.integers(1, MAX_TIME_MS)
maybe_times_ms = st.none() | times_ms
messages = st.builds(
    ParticipationMessage,
    request_id=ids,
    event_id=ids,
    user_id=ids,
    queued_at_ms=maybe_times_ms,
)
requests = st.builds(
    RequestItem,
    request_id=ids,
    event_id=ids,
    user_id=ids,
    event_type=st.sampled_from([kind.value for kind in EventType]) | ids,
    status=st.sampled_from(Status),
    requested_at_ms=maybe_times_ms,
    queued_at_ms=maybe_times_ms,
    started_at_ms=maybe_times_ms,
    finished_at_ms=maybe_times_ms,
    result_code=st.none() | st.sampled_from([code.value for code in ResultCode]),
    attempt=st.none() | st.integers(1, 1_000),
    is_dlq=st.none() | st.booleans(),
    failure_class=st.none() | st.sampled_from([kind.value for kind in FailureClass]),
    error_code=st.none() | texts,
    error_message=st.none() | texts,
    dlq_at_ms=maybe_times_ms,
    worker_id=st.none() | texts,
    ttl_s=st.none() | st.integers(0, 2**40),
)


@st.composite
def decided_requests(draw: st.DrawFn) -> RequestItem:
    """Requests as the worker leaves them: final, with their times in order."""
    queued_at, started_at, finished_at = sorted(draw(st.lists(times_ms, min_size=3, max_size=3)))
    failed = draw(st.booleans())
    if failed:
        status, code = Status.FAILED_FINAL, ResultCode.FAILED_WORKER
    elif draw(st.booleans()):
        status, code = Status.SUCCEEDED, ResultCode.SUCCESS
    else:
        status, code = Status.REJECTED, ResultCode.REJECTED_CAPACITY
    return RequestItem(
        request_id=draw(ids),
        event_id=draw(ids),
        user_id=draw(ids),
        event_type=draw(st.sampled_from([kind.value for kind in EventType]) | ids),
        status=status,
        result_code=code.value,
        queued_at_ms=queued_at,
        started_at_ms=started_at,
        finished_at_ms=finished_at,
        attempt=draw(st.integers(1, 1_000)),
        is_dlq=draw(st.booleans()),
        failure_class=draw(st.sampled_from([f.value for f in FailureClass])) if failed else None,
        error_code=draw(texts) if failed else None,
        error_message=draw(st.text(characters, max_size=256)) if failed else None,
        worker_id=draw(ids),
    )
