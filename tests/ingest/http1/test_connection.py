"""One connection: what waits, what is refused and when, and how it ends."""

import asyncio
from collections.abc import Callable

import pytest

from ingest.http1.bounds import BRIEFLY_S, LINGER_S, Refusal
from tests.ingest.http1.wire import BOUNDS, get, opened, settled
from tests.virtual_time import virtual_time

A_BIT_S = 0.01


@virtual_time
async def test_a_silent_client_is_dropped_after_the_time_for_a_head() -> None:
    async with opened() as house:
        wire = house.connect()
        await asyncio.sleep(BOUNDS.head_timeout_s - A_BIT_S)
        early = wire.has_ended
        await asyncio.sleep(2 * A_BIT_S)
        assert (early, wire.has_ended, wire.heard) == (False, True, b"")


@virtual_time
async def test_bytes_do_not_prolong_the_time_for_a_head() -> None:
    async with opened() as house:
        wire = house.connect()
        for byte in b"GET / HTTP/1.1\r\nA: b":
            wire.arrive(bytes([byte]))
            await asyncio.sleep(1)
            if wire.has_ended:
                break
        assert wire.statuses == [408]
        assert asyncio.get_running_loop().time() < 1_000 + BOUNDS.head_timeout_s + 2
    assert house.refusals == {Refusal.HEAD_TOO_SLOW: 1}


@virtual_time
async def test_a_later_head_has_its_own_time_and_an_idle_connection_a_longer_one() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.arrive(get("/"))
        await asyncio.sleep(BOUNDS.keep_alive_s - 1)
        wire.arrive(get("/")[:9])
        await asyncio.sleep(BOUNDS.head_timeout_s - A_BIT_S)
        assert wire.statuses == [200]
        wire.arrive(get("/")[9:])
        await asyncio.sleep(BOUNDS.keep_alive_s - A_BIT_S)
        assert (wire.statuses, wire.has_ended) == ([200, 200], False)
        await asyncio.sleep(2 * A_BIT_S)
        assert (wire.statuses, wire.has_ended) == ([200, 200], True)


@virtual_time
async def test_an_answer_may_take_longer_than_any_of_the_clients_times() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.arrive(get("/slow"))
        await asyncio.sleep(BOUNDS.keep_alive_s + BOUNDS.unread_timeout_s)
        house.may_answer.set()
        await settled()
        assert (wire.statuses, wire.has_ended) == ([200], False)


@virtual_time
async def test_what_is_pipelined_waits_for_the_answer_before_it_and_little_is_read() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.arrive(get("/slow"), *[get("/") * 10] * 30)
        await settled()
        assert len(house.asked) == 1
        assert not wire.reads_on
        assert len(wire.connection._unread) <= BOUNDS.head_bytes
        house.may_answer.set()
        await settled()
        assert wire.statuses == [200] * 301


@virtual_time
async def test_the_answers_of_one_turn_are_written_when_it_is_over() -> None:
    async with opened() as house:
        wires = [house.connect() for _ in range(3)]
        for wire in wires:
            wire.arrive(get("/slow"))
        await settled()
        answered: list[int] = []
        for wire in wires:
            written = wire.write

            def write(data: bytes, written: Callable[[bytes], None] = written) -> None:
                answered.append(house.answered)
                written(data)

            wire.write = write  # type: ignore[method-assign]
        house.may_answer.set()
        await settled()
        assert answered == [3, 3, 3]
        assert [wire.statuses for wire in wires] == [[200]] * 3


@virtual_time
async def test_a_refusal_comes_after_the_answers_before_it() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.arrive(get("/slow"), get("/") + b"\x00nonsense\r\n\r\n" + get("/"))
        await settled()
        assert wire.heard == b""
        house.may_answer.set()
        await settled()
        assert (wire.statuses, wire.has_ended) == ([200, 200, 400], True)
    assert len(house.asked) == 2


@virtual_time
async def test_a_body_is_refused_after_the_answers_before_it() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.arrive(get("/slow") + get("/", "Content-Length: 5") + b"GET /")
        house.may_answer.set()
        await settled()
        assert wire.statuses == [200, 400]
    assert house.refusals == {Refusal.BODY: 1}


@virtual_time
async def test_an_empty_body_has_the_head_s_time_and_is_followed_by_the_next_request() -> None:
    async with opened() as house:
        head = get("/", "Content-Type: application/json", "Content-Length: 2", method="POST")
        slow, steady = house.connect(), house.connect()
        slow.arrive(head, b"{")
        steady.arrive(head)
        await asyncio.sleep(BOUNDS.head_timeout_s - A_BIT_S)
        steady.arrive(b"{}" + get("/"))
        await settled()
        assert (slow.statuses, steady.statuses) == ([], [200, 200])
        await asyncio.sleep(2 * A_BIT_S)
        assert (slow.statuses, slow.has_ended) == ([408], True)
        assert not steady.has_ended
    assert house.refusals == {Refusal.HEAD_TOO_SLOW: 1}


@virtual_time
async def test_who_has_closed_its_sending_half_is_done_and_still_gets_its_answer() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.arrive(get("/until-gone"))
        await settled()
        wire.half_close()
        await settled()
        assert house.disconnects == 1
        assert (wire.statuses, wire.is_lost) == ([200], True)


@virtual_time
async def test_refusals_may_be_read_by_the_pages_that_may_read_answers() -> None:
    async with opened() as house:
        house.server.headers_for = lambda origin: ((b"x-for", origin or b"anybody"),)
        before, after = house.connect(), house.connect()
        before.arrive(b"\x00nonsense\r\n\r\n")
        after.arrive(get("/", "Origin: http://page", "Content-Length: 5"))
        await settled()
    assert b"x-for: anybody\r\n" in before.heard
    assert b"x-for: http://page\r\n" in after.heard


@virtual_time
async def test_a_deaf_client_asks_nothing_more_and_is_dropped() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.deafen()
        wire.arrive(get("/large"))
        await settled()
        wire.arrive(get("/large") * 2)
        await asyncio.sleep(BOUNDS.unread_timeout_s - A_BIT_S)
        assert (len(house.asked), wire.is_lost) == (1, False)
        await asyncio.sleep(2 * A_BIT_S)
        assert wire.is_lost
    assert house.refusals == {Refusal.UNREAD: 1}


@virtual_time
async def test_what_a_deaf_client_asked_before_its_first_answer_does_not_begin() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.deafen()
        wire.arrive(get("/large") + get("/"))
        await settled()
        assert [scope["path"] for scope in house.asked] == ["/large"]
        wire.listen()
        await settled()
        assert wire.statuses == [200, 200]


@virtual_time
async def test_a_client_that_reads_late_gets_all_answers() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.deafen()
        wire.arrive(get("/large") * 3)
        await asyncio.sleep(BOUNDS.unread_timeout_s - 1)
        wire.listen()
        await settled()
        assert wire.statuses == [200] * 3


@pytest.mark.parametrize("more", [0, 1, 5])
@virtual_time
async def test_a_half_closed_client_gets_all_answers_and_then_the_end(more: int) -> None:
    async with opened() as house:
        wire = house.connect()
        wire.arrive(get("/slow") + get("/") * more)
        wire.half_close()
        await settled()
        assert not wire.has_ended
        house.may_answer.set()
        await settled()
        assert (wire.statuses, wire.is_lost) == ([200] * (1 + more), True)


@pytest.mark.parametrize("line", ["Connection: close", "Upgrade: x\r\nConnection: upgrade"])
@virtual_time
async def test_after_its_last_answer_nothing_more_is_read_and_the_client_has_time_to_close(
    line: str,
) -> None:
    async with opened() as house:
        wire = house.connect()
        wire.arrive(get("/", line) + get("/"))
        await settled()
        assert (wire.statuses, wire.has_ended, wire.is_lost) == ([200], True, False)
        wire.arrive(get("/"))
        await asyncio.sleep(LINGER_S - A_BIT_S)
        assert not wire.is_lost
        await asyncio.sleep(2 * A_BIT_S)
        assert (wire.statuses, wire.is_lost) == ([200], True)
    assert len(house.asked) == 1


@virtual_time
async def test_who_closes_and_reads_nothing_does_not_keep_the_connection() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.deafen()
        wire.arrive(get("/slow", "Connection: close"))
        wire.half_close()
        house.may_answer.set()
        await asyncio.sleep(LINGER_S + A_BIT_S)
        assert house.server.connection_count == 0


@virtual_time
async def test_a_drain_does_not_wait_for_who_reads_nothing() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.deafen()
        wire.arrive(get("/slow"))
        await settled()
        wire.connection.drain()
        house.may_answer.set()
        await asyncio.sleep(LINGER_S + A_BIT_S)
        assert house.server.connection_count == 0


@virtual_time
async def test_a_drain_closes_what_is_idle_and_answers_what_is_under_way() -> None:
    async with opened() as house:
        idle, busy = house.connect(), house.connect()
        busy.arrive(get("/slow") + get("/"))
        await settled()
        for wire in (idle, busy):
            wire.connection.drain()
        await asyncio.sleep(BRIEFLY_S + A_BIT_S)
        assert (idle.is_lost, busy.is_lost) == (True, False)
        house.may_answer.set()
        await settled()
        assert (busy.statuses, busy.is_lost) == ([200], True)
        assert b"connection: close\r\n" in busy.heard


@virtual_time
async def test_what_is_on_its_way_when_a_drain_begins_is_answered_and_the_last() -> None:
    async with opened() as house:
        before, within = house.connect(), house.connect()
        within.arrive(get("/")[:10])
        await settled()
        house.server.stop()
        for wire in (before, within):
            wire.connection.drain()
        after = house.connect()
        for wire in (before, after):
            wire.arrive(get("/"))
        await asyncio.sleep(BRIEFLY_S + A_BIT_S)
        within.arrive(get("/")[10:] + get("/"))
        await settled()
        for wire in (before, within, after):
            assert (wire.statuses, wire.is_lost) == ([200], True)
            assert b"connection: close\r\n" in wire.heard


@virtual_time
async def test_one_connection_too_many_is_503_and_the_others_go_on() -> None:
    async with opened() as house:
        wires = [house.connect() for _ in range(BOUNDS.connections + 1)]
        for wire in wires:
            wire.arrive(get("/"))
        await settled()
        assert [wire.statuses for wire in wires] == [[200]] * BOUNDS.connections + [[503]]
        await asyncio.sleep(BRIEFLY_S + A_BIT_S)
        assert [wire.is_lost for wire in wires] == [False] * BOUNDS.connections + [True]
        wires[0].abort()
        await settled()
        late = house.connect()
        late.arrive(get("/"))
        await settled()
        assert late.statuses == [200]
    assert house.refusals == {Refusal.OVERLOAD: 1}


@virtual_time
async def test_a_request_whose_client_is_gone_is_finished_and_counts_as_a_connection() -> None:
    async with opened() as house:
        slow, until_gone = house.connect(), house.connect()
        slow.arrive(get("/slow"))
        until_gone.arrive(get("/until-gone"))
        await settled()
        for wire in (slow, until_gone):
            wire.abort()
        await settled()
        assert house.disconnects == 1
        assert house.server.connection_count == 1
        house.may_answer.set()
        await settled()
        assert house.server.connection_count == 0


@virtual_time
async def test_who_asks_only_later_whether_the_client_is_gone_hears_that_it_is() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.arrive(get("/slow-until-gone"))
        await settled()
        wire.abort()
        await settled()
        house.may_answer.set()
        await settled()
        assert house.disconnects == 1
        assert house.server.connection_count == 0


@pytest.mark.parametrize("path", ["/fails", "/nothing"])
@virtual_time
async def test_where_the_app_does_not_answer_the_connection_is_dropped(path: str) -> None:
    async with opened() as house:
        wire = house.connect()
        wire.arrive(get(path) + get("/"))
        await settled()
        assert (wire.heard, wire.is_lost) == (b"", True)
    assert len(house.asked) == 1


@virtual_time
async def test_who_comes_when_a_drain_has_begun_and_says_nothing_does_not_prolong_it() -> None:
    async with opened() as house:
        house.server.stop()
        late = house.connect()
        await asyncio.sleep(BRIEFLY_S + A_BIT_S)
        assert (late.heard, late.is_lost) == (b"", True)


@pytest.mark.parametrize("cut", [1, 2, 3])
@virtual_time
async def test_a_head_s_end_that_comes_in_two_pieces_ends_it(cut: int) -> None:
    async with opened() as house:
        wire = house.connect()
        large = get("/", f"X: {'x' * 2_500}")
        both = large + large[:-cut]
        wire.arrive(large[:-cut], large[-cut:] + both)
        await settled()
        assert wire.statuses == [200, 200]
        await asyncio.sleep(BOUNDS.head_timeout_s + A_BIT_S)
        assert wire.statuses == [200, 200, 408]


@virtual_time
async def test_the_answer_to_head_is_a_head_alone() -> None:
    async with opened() as house:
        wire = house.connect()
        wire.arrive(get("/", method="HEAD") + get("/"))
        await settled()
        first, second = wire.heard.split(b"HTTP/1.1 200 OK\r\n")[1:]
        assert first.endswith(b"content-length: 1\r\n\r\n")
        assert second.endswith(b"content-length: 1\r\n\r\nx")
