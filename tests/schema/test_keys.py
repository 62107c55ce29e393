"""Key strings, and the id of a request."""

from collections import Counter
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import keys


def test_keys_are_written_as_the_table_s_contract_says() -> None:
    assert keys.request_pk("r1") == "REQ#r1"
    assert keys.event_pk("e1") == "EVENT#e1"
    assert keys.user_index_pk("u1") == "USER#u1"
    assert keys.winners_index_pk("e1", 10) == "WON#e1#0a"
    assert keys.former_event_index_pk("e1") == "EVENT#e1"
    assert (keys.REQUEST_SORT_KEY, keys.CONFIG_SORT_KEY, keys.CAPACITY_SORT_KEY) == (
        "META",
        "CONFIG",
        "CAPACITY",
    )


def test_an_index_sort_key_pads_the_time_to_13_digits() -> None:
    assert keys.user_index_sk(42, "r1") == "QAT#0000000000042#REQ#r1"
    assert keys.user_index_sk(1_704_290_000_000, "r1") == "QAT#1704290000000#REQ#r1"
    assert keys.winners_index_sk(42, "r1") == "FIN#0000000000042#REQ#r1"


def test_a_request_s_shard_of_the_winners_is_the_same_in_every_process() -> None:
    # A changed shard would list a winner twice, or not at all.
    assert keys.winner_shard("1d892c1a-67d1-50a3-a533-d03915a76a3a") == 43


def test_winners_are_spread_over_all_shards() -> None:
    shards = Counter(keys.winner_shard(keys.request_id("e1", f"u{n}")) for n in range(6_400))

    assert set(shards) == set(range(keys.WINNER_SHARDS))
    assert max(shards.values()) < 200


@pytest.mark.parametrize("time_ms", [-1, 10_000_000_000_000])
def test_a_time_that_would_sort_wrongly_is_refused(time_ms: int) -> None:
    with pytest.raises(ValueError, match="not an epoch time in milliseconds"):
        keys.user_index_sk(time_ms, "r1")


@pytest.mark.parametrize("time_ms", [0, keys.MAX_TIME_MS])
def test_the_outermost_times_are_accepted(time_ms: int) -> None:
    assert len(keys.user_index_sk(time_ms, "")) == len("QAT#") + 13 + len("#REQ#")


def test_the_same_click_always_has_the_same_id() -> None:
    # A changed id would let each user of a running event take part a second time.
    assert keys.request_id("event-123", "user-1") == "1d892c1a-67d1-50a3-a533-d03915a76a3a"


def test_the_id_is_a_name_based_uuid() -> None:
    assert UUID(keys.request_id("event-123", "user-1")).version == 5


@given(event_id=st.text(max_size=40), user_id=st.text(max_size=40))
def test_a_request_id_is_the_standard_library_s_uuid_of_version_5(
    event_id: str, user_id: str
) -> None:
    namespace = UUID("6f0f2f5e-2c0b-5a39-9a5c-5c6b1a3f7d10")

    name = f"{len(event_id)}:{event_id}:{user_id}"

    assert keys.request_id(event_id, user_id) == str(uuid5(namespace, name))


def test_a_separator_within_an_id_does_not_confuse_two_clicks() -> None:
    assert keys.request_id("a", "b:c") != keys.request_id("a:b", "c")
    assert keys.request_id("1:a", "b") != keys.request_id("1", "a:b")
