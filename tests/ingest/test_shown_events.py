"""What an event's page asks for: from a memory of a second, whatever the number of viewers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import anyio
import pytest

from ingest.event_cache import STALE_S
from schema.items import Capacity
from simulation.scenario import Kind
from tests.aws.model import NOW_MS
from tests.ingest.model import TABLE, Ingest, statuses
from tests.ingest.support import EVENT, Service, bearer
from tests.virtual_time import virtual_time

PATH: Final = "/events/event-1"


def seats(total: int, remaining: int) -> Mapping[str, Capacity]:
    return {"event-1": Capacity(event_id="event-1", total=total, remaining=remaining)}


async def shown(service: Service) -> Any:
    async with service.client() as http:
        answer = await http.get(PATH, headers=bearer("user-1"))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def test_an_event_is_shown_with_its_times_its_seats_and_the_service_s_time() -> None:
    service = Service()
    service.gateway.events["event-1"] = replace(EVENT, opens_at_ms=5, closes_at_ms=9)
    service.gateway.capacities |= seats(100, 1)

    assert await shown(service) == {
        "eventId": "event-1",
        "eventType": "FIRST_COME",
        "opensAt": 5,
        "closesAt": 9,
        "capacityTotal": 100,
        "soldOut": False,
        "now": service.clock(),
    }


async def test_an_event_without_times_and_seats_has_none() -> None:
    document = await shown(Service())

    assert [document[key] for key in ("opensAt", "closesAt", "capacityTotal")] == [None] * 3
    assert document["soldOut"] is False


@pytest.mark.parametrize(("total", "left", "sold_out"), [(5, 5, False), (5, 0, True), (0, 0, True)])
async def test_an_event_is_sold_out_when_no_seat_is_left(
    total: int, left: int, *, sold_out: bool
) -> None:
    service = Service()
    service.gateway.capacities |= seats(total, left)

    document = await shown(service)
    assert (document["capacityTotal"], document["soldOut"]) == (total, sold_out)


async def test_it_is_for_those_with_a_token_and_an_unknown_event_is_404() -> None:
    service = Service()
    async with service.client() as http:
        nobody = await http.get(PATH)
        unknown = await http.get("/events/nothing", headers=bearer("user-1"))
        impossible = await http.get(f"/events/{'x' * 5_000}", headers=bearer("user-1"))

    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    for answer in (unknown, impossible):
        assert (answer.status_code, answer.json()["type"]) == (
            404,
            "urn:participation:problem:not-found",
        )
    assert service.gateway.operations == ["event"]


async def view(ingest: Ingest, viewers: int, seconds: int, path: str = PATH) -> None:
    """As many ask, each once a tenth of a second, for so long."""

    async def one(viewer: int) -> None:
        for _ in range(seconds * 10):
            await ingest.ask(f"user-{viewer}", "GET", path)
            await anyio.sleep(0.1)

    async with anyio.create_task_group() as tasks:
        for viewer in range(viewers):
            tasks.start_soon(one, viewer)


@pytest.mark.parametrize("path", [PATH, "/events/nothing"])
def test_all_viewers_of_a_process_cost_one_read_a_second(path: str) -> None:
    @virtual_time
    async def main() -> None:
        ingest = Ingest()
        async with ingest.opened():
            ingest.works()
            await view(ingest, 200, 5, path)

        assert statuses(ingest.answers) == {200 if path == PATH else 404: 200 * 50}
        assert 5 <= len(ingest.aws.wire.calls_of("BatchGetItem")) <= 6

    main()


@virtual_time
async def test_the_last_seat_shows_within_a_second_or_so() -> None:
    ingest = Ingest()
    async with ingest.opened():
        before = await ingest.ask("user-1", "GET", PATH)
        gone = Capacity(event_id="event-1", total=5, remaining=0)
        ingest.aws.cloud.table.seed(gone.to_item())
        await anyio.sleep(1.1)
        after = await ingest.ask("user-2", "GET", PATH)

    assert (before.document["soldOut"], after.document["soldOut"]) == (False, True)
    assert after.document["now"] == NOW_MS


@virtual_time
async def test_while_the_table_is_away_a_known_event_is_shown_for_a_minute_and_others_are_503() -> (
    None
):
    ingest = Ingest()
    async with ingest.opened():
        ingest.works()
        await ingest.ask("user-1", "GET", PATH)
        ingest.fails(TABLE, Kind.REFUSED)
        await anyio.sleep(5)
        known = await ingest.ask("user-1", "GET", PATH)
        other = await ingest.ask("user-1", "GET", "/events/event-2")
        await anyio.sleep(STALE_S)
        later = await ingest.ask("user-1", "GET", PATH)

    assert [answer.status for answer in (known, other, later)] == [200, 503, 503]
    assert int(later.headers["retry-after"]) >= 1
