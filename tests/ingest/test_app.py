"""The HTTP surface over a gateway in memory: answers, problem documents, figures, log lines."""

import asyncio
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest
from structlog.testing import capture_logs

from ingest.endpoints import RETRY_WITHIN_S
from ingest.gateway import CorruptItem
from ingest.waiting import MAX_WAIT_S
from schema import keys
from schema.states import Status
from tests.ingest.support import EVENT, Service, bearer, many, stored, token

MEDIA_TYPE = "application/problem+json"
CLICK = "/events/event-1/participations"
LIST = "/me/participations"


@pytest.fixture
def service() -> Service:
    return Service()


def assert_problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Check that an answer is a problem document of this kind, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"urn:participation:problem:{kind}"
    assert document["status"] == status
    assert document["title"]
    return document


async def test_a_click_is_answered_202_with_the_request_that_it_names(service: Service) -> None:
    async with service.client() as http:
        answer = await http.post(CLICK, headers=bearer("user-1"))

    assert answer.status_code == 202
    assert answer.json() == {
        "requestId": keys.request_id("event-1", "user-1"),
        "isDuplicate": False,
    }
    assert answer.headers["cache-control"] == "no-store"


async def test_202_says_where_and_when_to_ask_for_the_decision_first_and_again(
    service: Service,
) -> None:
    async with service.client() as http:
        answers = [await http.post(CLICK, headers=bearer("user-1")) for _ in range(2)]
        request = service.gateway.requests[answers[0].json()["requestId"]]
        service.gateway.requests[request.request_id] = replace(request, status=Status.REJECTED)
        decision = await http.get(answers[1].headers["location"], headers=bearer("user-1"))

    location = f"/requests/{request.request_id}?wait={MAX_WAIT_S}"
    assert [answer.headers["location"] for answer in answers] == [location] * 2
    assert decision.json()["status"] == "REJECTED"


async def test_the_second_click_is_a_duplicate(service: Service) -> None:
    async with service.client() as http:
        first = await http.post(CLICK, headers=bearer("user-1"))
        second = await http.post(CLICK, headers=bearer("user-1"))

    assert second.status_code == 202
    assert second.json() == {**first.json(), "isDuplicate": True}


async def test_an_unknown_event_is_404(service: Service) -> None:
    async with service.client() as http:
        answer = await http.post("/events/nothing/participations", headers=bearer("user-1"))

    assert_problem(answer, 404, "not-found")
    assert service.gateway.requests == {}


@pytest.mark.parametrize(
    ("opens_in_s", "closes_in_s", "kind"),
    [(1, None, "event-not-open"), (None, 0, "event-closed"), (-9, -1, "event-closed")],
)
async def test_an_event_that_is_not_open_is_409(
    service: Service, opens_in_s: int | None, closes_in_s: int | None, kind: str
) -> None:
    now = service.clock()
    service.gateway.events["event-1"] = replace(
        EVENT,
        opens_at_ms=None if opens_in_s is None else now + opens_in_s * 1000,
        closes_at_ms=None if closes_in_s is None else now + closes_in_s * 1000,
    )
    async with service.client() as http:
        answer = await http.post(CLICK, headers=bearer("user-1"))

    assert_problem(answer, 409, kind)
    assert service.gateway.requests == {}


async def test_an_event_is_open_from_its_opening_to_just_before_its_closing(
    service: Service,
) -> None:
    now = service.clock()
    service.gateway.events["event-1"] = replace(EVENT, opens_at_ms=now, closes_at_ms=now + 1)
    async with service.client() as http:
        answer = await http.post(CLICK, headers=bearer("user-1"))

    assert answer.status_code == 202


async def test_a_refused_click_is_503_with_retry_after_and_the_request_id(
    service: Service,
) -> None:
    service.gateway.fails = lambda operation: "before" if operation == "send" else None
    async with service.client() as http:
        answer = await http.post(CLICK, headers=bearer("user-1"))

    problem = assert_problem(answer, 503, "unavailable")
    assert problem["requestId"] == keys.request_id("event-1", "user-1")
    assert 1 <= int(answer.headers["retry-after"]) <= RETRY_WITHIN_S


async def test_beyond_the_bound_clicks_are_503_immediately_and_cost_no_call(
    service: Service,
) -> None:
    hold = anyio.Event()
    service.gateway.before = lambda operation: hold.wait() if operation == "insert" else None
    async with service.client(max_pending_requests=3) as http:

        async def click(user: str) -> httpx.Response:
            return await http.post(CLICK, headers=bearer(user))

        waiting = asyncio.gather(*(click(f"user-{n}") for n in range(3)))
        await anyio.wait_all_tasks_blocked()
        refused = await click("user-3")
        also_refused = await http.get(LIST, headers=bearer("user-3"))
        hold.set()
        accepted = await waiting

    assert_problem(refused, 503, "unavailable")
    assert_problem(also_refused, 503, "unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert [answer.status_code for answer in accepted] == [202] * 3
    assert len(service.gateway.requests) == 3


async def test_one_user_takes_no_more_than_a_share_of_what_may_wait(service: Service) -> None:
    hold = anyio.Event()
    service.gateway.before = lambda operation: hold.wait() if operation == "user_requests" else None
    async with service.client(max_pending_per_user=2) as http:

        async def ask(user: str) -> httpx.Response:
            return await http.get(LIST, headers=bearer(user))

        waiting = asyncio.gather(*(ask(user) for user in ("user-1", "user-2", "user-1")))
        await anyio.wait_all_tasks_blocked()
        refused = await ask("user-1")
        hold.set()
        answered = [*await waiting, await ask("user-1")]

    assert_problem(refused, 429, "too-many-requests")
    assert int(refused.headers["retry-after"]) >= 1
    assert [answer.status_code for answer in answered] == [200] * 4


async def test_a_request_is_shown_to_its_owner(service: Service) -> None:
    item = stored(
        "user-1",
        1_000,
        status=Status.SUCCEEDED,
        result_code="SUCCESS",
        requested_at_ms=900,
        started_at_ms=1_100,
        finished_at_ms=1_200,
    )
    service.gateway.requests[item.request_id] = item
    async with service.client() as http:
        answer = await http.get(f"/requests/{item.request_id}", headers=bearer("user-1"))

    assert answer.status_code == 200
    assert answer.json() == {
        "requestId": item.request_id,
        "eventId": "event-1",
        "eventType": "FIRST_COME",
        "status": "SUCCEEDED",
        "resultCode": "SUCCESS",
        "requestedAt": 900,
        "queuedAt": 1_000,
        "startedAt": 1_100,
        "finishedAt": 1_200,
    }


async def test_to_anybody_else_a_request_looks_exactly_as_if_it_were_absent(
    service: Service,
) -> None:
    item = stored("user-1", 1_000)
    service.gateway.requests[item.request_id] = item
    async with service.client() as http:
        foreign = await http.get(f"/requests/{item.request_id}", headers=bearer("user-2"))
        absent = await http.get(f"/requests/{'0' * 36}", headers=bearer("user-2"))
        impossible = await http.get(f"/requests/{'x' * 5_000}", headers=bearer("user-2"))

    assert_problem(foreign, 404, "not-found")
    assert foreign.content == absent.content == impossible.content
    assert foreign.headers == absent.headers == impossible.headers


async def test_pages_run_newest_first_through_all_of_a_users_requests(service: Service) -> None:
    items = many("user-1", 5)
    service.gateway.requests = {item.request_id: item for item in [*items, *many("user-2", 5)]}
    seen: list[str] = []
    cursor: str | None = None
    async with service.client() as http:
        for _ in range(3):
            query = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
            page = (await http.get(LIST, params=query, headers=bearer("user-1"))).json()
            seen += [row["requestId"] for row in page["items"]]
            cursor = page["nextCursor"]

    assert cursor is None
    assert seen == [item.request_id for item in reversed(items)]


async def test_without_a_limit_a_page_holds_twenty(service: Service) -> None:
    service.gateway.requests = {item.request_id: item for item in many("user-1", 30)}
    async with service.client() as http:
        default = (await http.get(LIST, headers=bearer("user-1"))).json()
        most = (await http.get(LIST, params={"limit": "100"}, headers=bearer("user-1"))).json()

    assert len(default["items"]) == 20
    assert len(most["items"]) == 30


@pytest.mark.parametrize("limit", ["0", "-1", "101", "x", "", "1.0", "+5", "٣", "1e1", "9" * 99])
async def test_a_limit_out_of_range_is_400(service: Service, limit: str) -> None:
    async with service.client() as http:
        answer = await http.get(LIST, params={"limit": limit}, headers=bearer("user-1"))

    assert_problem(answer, 400, "bad-request")
    assert service.gateway.operations == []


async def test_a_parameter_that_is_repeated_or_unknown_is_400(service: Service) -> None:
    async with service.client() as http:
        answer = await http.get(f"{LIST}?limit=1&limit=2", headers=bearer("user-1"))
        flood = await http.get(f"{LIST}?{'a&' * 50}", headers=bearer("user-1"))

        unknown = await http.get(f"{LIST}?Limit=1", headers=bearer("user-1"))

    assert_problem(answer, 400, "bad-request")
    assert_problem(flood, 400, "bad-request")
    assert_problem(unknown, 400, "bad-request")


async def test_cursors_that_are_cut_changed_or_anothers_are_400(service: Service) -> None:
    both = [*many("user-1", 3), *many("user-2", 3)]
    service.gateway.requests = {item.request_id: item for item in both}
    async with service.client() as http:
        page = await http.get(LIST, params={"limit": "1"}, headers=bearer("user-1"))
        cursor = page.json()["nextCursor"]
        service.gateway.operations.clear()
        answers = [
            await http.get(LIST, params={"cursor": wrong}, headers=bearer(user))
            for wrong, user in [
                (cursor[:-1], "user-1"),
                (cursor[1:], "user-1"),
                (cursor[:-1] + ("A" if cursor[-1] != "A" else "B"), "user-1"),
                (cursor + "=", "user-1"),
                (cursor + " ", "user-1"),
                ("", "user-1"),
                ("x" * 10_000, "user-1"),
                ("ü", "user-1"),
                (cursor, "user-2"),
            ]
        ]

    for answer in answers:
        assert_problem(answer, 400, "bad-request")
    assert service.gateway.operations == []


@pytest.mark.parametrize("path", ["/", "/nothing", "/events//participations", f"{CLICK}/", "/me"])
async def test_other_paths_are_404_problems(service: Service, path: str) -> None:
    async with service.client() as http:
        answer = await http.get(path, headers=bearer("user-1"))

    assert_problem(answer, 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CLICK, "POST"),
        ("PUT", CLICK, "POST"),
        ("POST", LIST, "GET, HEAD"),
        ("DELETE", "/requests/x", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
    ],
)
async def test_another_method_is_405_and_the_allowed_ones_are_named(
    service: Service, method: str, path: str, allowed: str
) -> None:
    async with service.client() as http:
        answer = await http.request(method, path, headers=bearer("user-1"))

    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path",
    [
        "/events/..%2F..%2Fadmin/participations",
        "/events/%00/participations",
        "/events/%0a%0d/participations",
        "/events/%ff%fe/participations",
        f"/events/{'x' * 513}/participations",
        f"/events/{'é' * 300}/participations",
        "/events/%2e%2e/participations",
    ],
)
async def test_path_tricks_are_client_errors_and_create_nothing(
    service: Service, path: str
) -> None:
    async with service.client() as http:
        answer = await http.post(path, headers=bearer("user-1"))

    assert answer.status_code in {400, 404}
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert service.gateway.requests == {}


async def test_nothing_but_the_token_names_the_user(service: Service) -> None:
    async with service.client() as http:
        await http.post(
            f"{CLICK}?userId=user-2&sub=user-2",
            headers={**bearer("user-1"), "X-User-Id": "user-2", "X-Forwarded-User": "user-2"},
        )

    assert [item.user_id for item in service.gateway.requests.values()] == ["user-1"]


async def test_a_corrupt_item_is_a_500_that_reveals_nothing_and_a_log_line_that_says_all(
    service: Service,
) -> None:
    def corrupt(_operation: str) -> None:
        raise CorruptItem("attribute 'status' holds the unknown value 'LOST'")

    service.gateway.before = corrupt
    async with service.client() as http:
        with capture_logs() as logs:
            answer = await http.get("/requests/x", headers=bearer("user-1"))

    assert_problem(answer, 500, "internal-error")
    assert "LOST" not in answer.text
    assert [line["event"] for line in logs] == ["request_failed"]
    assert service.figure("ingest_requests_total", route="request", status="500") == 1


async def test_when_a_read_cannot_be_done_now_it_is_503(service: Service) -> None:
    service.gateway.fails = lambda _: "before"
    async with service.client() as http:
        one = await http.get("/requests/x", headers=bearer("user-1"))
        several = await http.get(LIST, headers=bearer("user-1"))
        event = await http.post(CLICK, headers=bearer("user-1"))

    for answer in (one, several, event):
        assert_problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1


async def test_every_answer_has_one_log_line_without_user_data(service: Service) -> None:
    async with service.client() as http:
        await http.post(CLICK, headers=bearer("user-1"))
        await http.post(CLICK, headers=bearer("user-1"))
        await http.get("/requests/nothing", headers=bearer("user-2"))
        await http.get("/nowhere?secret=user-3")

    lines = [
        (method, line.route, line.status, line.request_id) for method, line, _ in service.lines
    ]
    request_id = keys.request_id("event-1", "user-1")
    assert lines == [
        ("POST", "participate", 202, request_id),
        ("POST", "participate", 202, request_id),
        ("GET", "request", 404, None),
        ("GET", "other", 404, None),
    ]
    hashes = [line.user_hash for _, line, _ in service.lines]
    assert hashes[0] == hashes[1] != hashes[2]
    assert hashes[3] is None
    assert [seconds for _, _, seconds in service.lines] == [1] * 4
    assert "user-1" not in str(hashes)


async def test_lines_that_anybody_can_cause_are_one_a_second_with_the_others_number(
    service: Service,
) -> None:
    # The stopwatch is looked at when a request comes, when it is answered, and for its line.
    service.ticks = iter([0.0, 0.0, 0.0] * 3 + [1.0] * 6)
    async with service.client() as http:
        for _ in range(4):
            await http.get(LIST)
        await http.get("/nowhere")

    assert [(line.route, line.status, line.unlogged) for _, line, _ in service.lines] == [
        ("participations", 401, 0),
        ("participations", 401, 2),
        ("other", 404, 0),
    ]


async def test_refusals_of_nobody_known_are_one_line_a_second_as_well(service: Service) -> None:
    service.ticks = iter([0.0] * 9)
    service.health.not_ready = "draining"
    async with service.client() as http:
        for _ in range(3):
            await http.get("/readyz")

    assert [(line.route, line.status) for _, line, _ in service.lines] == [("readyz", 503)]


async def test_figures_exist_with_0_from_the_start_and_count_each_answer(
    service: Service,
) -> None:
    async with service.client() as http:
        before = (await http.get("/metrics")).text
        await http.post(CLICK, headers=bearer("user-1"))
        await http.post(CLICK)
        after = (await http.get("/metrics")).text

    for line in (
        'ingest_requests_total{route="participate",status="202"} 0.0',
        'ingest_requests_total{route="participate",status="503"} 0.0',
        'ingest_request_seconds_count{route="participate"} 0.0',
        "ingest_publish_events_total 0.0",
        'ingest_publish_failures_total{reason="timeout"} 0.0',
        "ingest_lost_events_kept_total 0.0",
        "ingest_lost_events_not_kept_total 0.0",
        "ingest_in_flight_requests 1.0",
    ):
        assert line in before.splitlines()
    for line in (
        'ingest_requests_total{route="participate",status="202"} 1.0',
        'ingest_requests_total{route="participate",status="401"} 1.0',
        'ingest_request_seconds_count{route="participate"} 2.0',
    ):
        assert line in after.splitlines()


async def test_two_apps_count_apart() -> None:
    one, other = Service(), Service()
    async with one.client() as http, other.client():
        await http.get("/healthz")

    assert one.figure("ingest_requests_total", route="healthz", status="200") == 1
    assert other.figure("ingest_requests_total", route="healthz", status="200") == 0


async def test_readiness_follows_the_server_and_health_does_not(service: Service) -> None:
    async with service.client() as http:
        ready = await http.get("/readyz")
        service.health.not_ready = "draining"
        draining = await http.get("/readyz")
        healthy = await http.get("/healthz")

    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert assert_problem(draining, 503, "not-ready")["detail"] == "draining"
    assert (healthy.status_code, healthy.json()) == (200, {"status": "ok"})


async def test_head_is_answered_like_get(service: Service) -> None:
    async with service.client() as http:
        answer = await http.head("/healthz")

    assert answer.status_code == 200


async def test_more_than_one_authorization_header_is_400(service: Service) -> None:
    headers = [
        ("Authorization", f"Bearer {token('user-1')}"),
        ("Authorization", f"Bearer {token('user-2')}"),
    ]
    async with service.client() as http:
        answer = await http.post(CLICK, headers=headers)

    assert_problem(answer, 400, "bad-request")
    assert service.gateway.requests == {}
