"""The statements of writes that are made from prepared texts."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aws import statements
from schema.items import Change, RequestItem
from schema.keys import MAX_TIME_MS
from schema.states import Status

ids = st.text(min_size=1, max_size=20)


@given(
    request_id=ids,
    event_id=ids,
    user_id=ids,
    queued_at_ms=st.integers(0, MAX_TIME_MS),
    requested_at_ms=st.none() | st.integers(0, MAX_TIME_MS),
)
def test_the_step_to_queued_is_the_update_of_that_change(
    request_id: str, event_id: str, user_id: str, queued_at_ms: int, requested_at_ms: int | None
) -> None:
    received = RequestItem(
        request_id=request_id,
        event_id=event_id,
        user_id=user_id,
        event_type="FIRST_COME",
        status=Status.RECEIVED,
        requested_at_ms=requested_at_ms,
    )
    queued = replace(received, status=Status.QUEUED, queued_at_ms=queued_at_ms)

    assert statements.mark_statement("T", received, queued_at_ms) == statements.update_statement(
        "T", Change(received, queued)
    )
