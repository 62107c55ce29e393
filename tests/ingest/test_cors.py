"""Pages of other origins: who may read which answers, and what a browser learns beforehand."""

from typing import Final

import httpx
import pytest

from ingest.cors import Cors
from tests.ingest.live import Live
from tests.ingest.support import Service, bearer

CLICK: Final = "/events/event-1/participations"
SHOP: Final = "https://shop.example"
OTHER: Final = "https://other.example"
LOCAL: Final = "http://localhost:5173"
ORIGIN: Final = "access-control-allow-origin"
ASKED: Final = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}


def cors_headers(answer: httpx.Response) -> dict[str, str]:
    names = ("access-control-", "vary")
    return {name: value for name, value in answer.headers.items() if name.startswith(names)}


async def test_by_default_no_other_page_may_ask_or_read() -> None:
    async with Service().client() as http:
        asked = await http.options(CLICK, headers={"Origin": SHOP, **ASKED})
        answer = await http.post(CLICK, headers={"Origin": SHOP, **bearer("user-1")})

    assert asked.status_code == 405
    assert answer.status_code == 202
    assert cors_headers(asked) == cors_headers(answer) == {}


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (CLICK, "POST"),
        ("/events/event-1", "GET, HEAD"),
        ("/requests/x", "GET, HEAD"),
        ("/me/participations", "GET, HEAD"),
    ],
)
async def test_a_preflight_is_answered_without_a_token(path: str, methods: str) -> None:
    service = Service()
    async with service.client(cors_origins=f"{SHOP},{LOCAL}") as http:
        answers = [
            await http.options(path, headers={"Origin": origin, **ASKED})
            for origin in (SHOP, LOCAL, OTHER)
        ]

    for answer in answers:
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-length" not in answer.headers
        assert answer.headers["access-control-allow-methods"] == methods
        assert answer.headers["access-control-allow-headers"] == "authorization, content-type"
        assert answer.headers["access-control-max-age"] == "7200"
        assert answer.headers["vary"] == "origin"
    assert [answer.headers.get(ORIGIN) for answer in answers] == [SHOP, LOCAL, None]
    assert service.gateway.operations == []


async def test_an_options_that_is_no_preflight_is_405_and_an_unknown_path_404() -> None:
    async with Service().client(cors_origins="*") as http:
        plain = await http.options(CLICK, headers={"Origin": SHOP})
        nowhere = await http.options("/nowhere", headers={"Origin": SHOP, **ASKED})

    assert (plain.status_code, plain.headers["allow"]) == (405, "POST")
    assert nowhere.status_code == 404
    assert plain.headers[ORIGIN] == nowhere.headers[ORIGIN] == "*"


async def test_every_answer_may_be_read_by_the_origins_that_are_allowed() -> None:
    service = Service()
    async with service.client(cors_origins=f"{SHOP},{LOCAL}", max_pending_per_user=1) as http:

        async def post(path: str, origin: str, user: str | None = "user-1") -> httpx.Response:
            token = {} if user is None else bearer(user)
            return await http.post(path, headers={"Origin": origin, **token})

        answers = [
            await post(CLICK, LOCAL),
            await post(CLICK, LOCAL, None),
            await post("/events/nothing/participations", LOCAL),
            await post("/requests/x", LOCAL),
        ]
        service.gateway.fails = lambda _: "before"
        answers.append(await post("/events/event-2/participations", LOCAL))
        service.gateway.before = lambda _: 1 / 0
        answers.append(await post("/events/event-3/participations", LOCAL))
        foreign = await post(CLICK, OTHER)
        nobody = await http.get("/requests/x")

    assert [answer.status_code for answer in answers] == [202, 401, 404, 405, 503, 500]
    for answer in answers:
        assert cors_headers(answer) == {
            ORIGIN: LOCAL,
            "access-control-expose-headers": "location, retry-after",
            "vary": "origin",
        }
    assert cors_headers(foreign) == cors_headers(nobody) == {"vary": "origin"}


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/openapi.json", "/docs"])
async def test_what_is_for_operators_is_for_no_page(path: str) -> None:
    async with Service().client(cors_origins="*") as http:
        read = await http.get(path, headers={"Origin": SHOP})
        asked = await http.options(path, headers={"Origin": SHOP, **ASKED})

    assert (read.status_code, cors_headers(read)) == (200, {})
    assert (asked.status_code, cors_headers(asked)) == (405, {})


async def test_preflights_are_counted_and_one_a_second_is_logged() -> None:
    service = Service()
    service.ticks = iter([0.0] * 9)
    async with service.client(cors_origins="*") as http:
        for _ in range(3):
            await http.options(CLICK, headers={"Origin": SHOP, **ASKED})

    assert service.figure("ingest_requests_total", route="participate", status="204") == 3
    assert [(line.route, line.status) for _, line, _ in service.lines] == [("participate", 204)]


@pytest.mark.parametrize(
    ("origins", "asks", "reads"),
    [
        ([], SHOP, None),
        (["*"], SHOP, "*"),
        (["*"], None, "*"),
        ([SHOP], None, SHOP),
        ([SHOP], SHOP, SHOP),
        ([SHOP], OTHER, None),
        ([SHOP, LOCAL], None, None),
        ([SHOP, LOCAL], LOCAL, LOCAL),
    ],
)
def test_who_asks_is_needed_only_where_several_may(
    origins: list[str], asks: str | None, reads: str | None
) -> None:
    headers = dict(Cors(origins).headers(None if asks is None else asks.encode()))

    assert headers.get(ORIGIN.encode()) == (None if reads is None else reads.encode())
    assert (b"vary" in headers) == (bool(origins) and origins != ["*"])


async def test_what_is_refused_before_the_app_may_be_read_as_well(live: Live) -> None:
    async with live.ingest(cors_origins=f"{SHOP},{LOCAL}") as http:
        answer = await http.post(
            CLICK, headers={"Origin": LOCAL, **bearer("user-1")}, json={"seats": 2}
        )

    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:participation:problem:body-not-allowed"
    assert answer.headers[ORIGIN] == LOCAL
