"""Who gets the page, who may press its buttons, and what its readers see."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import httpx
import orjson
import pytest

from local.live import server
from local.live.actions import Actions
from local.live.feed import Feed
from local.live.server import Server


class Buttons:
    """Takes note of what was pressed."""

    def __init__(self) -> None:
        self.pressed: list[object] = []

    def kill(self) -> str:
        self.pressed.append("kill")
        return "killed"

    def burst(self, clicks: int) -> str:
        self.pressed.append(clicks)
        return "sent"

    def fault(self, name: str, seconds: int) -> str:
        self.pressed.append((name, seconds))
        return "away"


class Page:
    """The page of a running server, as a browser has it."""

    def __init__(self, http: httpx.AsyncClient, feed: Feed, buttons: Buttons, token: str) -> None:
        self.http = http
        self.feed = feed
        self.buttons = buttons
        self.origin = str(http.base_url).rstrip("/")
        self.headers = {"Origin": self.origin, "X-Live-Token": token}

    async def press(
        self, action: str, fields: Mapping[str, object] | None = None, **headers: str
    ) -> httpx.Response:
        return await self.http.post(
            f"/do/{action}",
            content=orjson.dumps(fields or {}),
            headers=httpx.Headers({**self.headers, **headers}, encoding="latin-1"),
        )


@asynccontextmanager
async def opened() -> AsyncIterator[Page]:
    feed, buttons = Feed(), Buttons()
    async with (
        Server(feed, cast("Actions", buttons)).running() as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
    ):
        token = re.search(r'name="live-token" content="([^"]+)"', (await http.get("/")).text)
        assert token is not None
        yield Page(http, feed, buttons, token[1])


@pytest.mark.parametrize("path", ["/", "/live.js", "/live.css", "/report.css"])
async def test_the_page_and_its_files_may_load_nothing_from_elsewhere(path: str) -> None:
    async with opened() as page:
        answer = await page.http.get(path)

    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_page_itself_may_press_a_button() -> None:
    async with opened() as page:
        answer = await page.press("kill")

    assert answer.json() == {"text": "killed", "done": True}
    assert page.buttons.pressed == ["kill"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": ""},
        {"X-Live-Token": "guessed"},
        {"X-Live-Token": "no UTF-8: \xff"},
    ],
)
async def test_another_page_may_not_press_a_button(headers: dict[str, str]) -> None:
    async with opened() as page:
        answer = await page.press("kill", None, **headers)

    assert answer.status_code == 403
    assert page.buttons.pressed == []


@pytest.mark.parametrize("path", ["/", "/stream"])
async def test_a_name_that_was_rebound_to_this_machine_gets_nothing(path: str) -> None:
    async with opened() as page:
        answer = await page.http.get(path, headers={"Host": "rebound.example"})

    assert answer.status_code == 403
    assert "live-token" not in answer.text


@pytest.mark.parametrize("path", ["/stream", "/live.js"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "odd"])
async def test_another_page_gets_nothing_of_it(path: str, site: str) -> None:
    async with opened() as page:
        page.feed.publish(b"1")
        async with page.http.stream("GET", path, headers={"Sec-Fetch-Site": site}) as answer:
            assert answer.status_code == 403


@pytest.mark.parametrize(
    ("path", "site"), [("/", "cross-site"), ("/live.js", "same-origin"), ("/live.js", "none")]
)
async def test_a_link_leads_to_the_page_and_the_page_to_the_rest(path: str, site: str) -> None:
    async with opened() as page:
        answer = await page.http.get(path, headers={"Sec-Fetch-Site": site})

    assert answer.status_code == 200


@pytest.mark.parametrize("clicks", [0, 5_001, 1.5, "many", None, True])
async def test_a_number_that_is_none_is_refused_with_its_bounds(clicks: object) -> None:
    async with opened() as page:
        answer = await page.press("burst", {"clicks": clicks})

    assert answer.json() == {"text": "clicks: give a number from 1 to 5,000", "done": False}
    assert page.buttons.pressed == []


async def test_a_fault_is_one_of_those_on_the_page() -> None:
    async with opened() as page:
        known = await page.press("fault", {"name": "dynamodb", "seconds": 20})
        unknown = await page.press("fault", {"name": "disk", "seconds": 20})
        unnamed = await page.press("fault", {"name": [], "seconds": 20})
        unheard = await page.press("format")
        nonsense = await page.http.post("/do/kill", content=b"[", headers=page.headers)

    assert known.json()["done"]
    assert [a.status_code for a in (unknown, unnamed, unheard, nonsense)] == [400] * 4
    assert page.buttons.pressed == [("dynamodb", 20)]


async def test_a_reader_gets_the_state_that_there_is_and_then_each_new_one() -> None:
    async with opened() as page:
        page.feed.publish(b"1")
        async with page.http.stream("GET", "/stream") as stream:
            lines = stream.aiter_lines()
            first = await anext(lines)
            page.feed.publish(b"2")
            assert await anext(lines) == ""
            second = await anext(lines)

    assert stream.headers["Content-Type"] == "text/event-stream"
    assert [first, second] == ["data: 1", "data: 2"]


async def test_a_reader_that_was_away_gets_the_latest_state_alone() -> None:
    feed = Feed()
    states = feed.follow()
    feed.publish(b"1")
    first = await anext(states)
    for state in (b"2", b"3", b"4"):
        feed.publish(state)
    later = await anext(states)
    feed.close()

    assert [first, later, [state async for state in states]] == [b"1", b"4", []]


async def test_streams_are_bounded_and_one_that_ends_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_MAX_STREAMS", 1)
    async with opened() as page:
        page.feed.publish(b"1")
        async with page.http.stream("GET", "/stream") as stream:
            await anext(stream.aiter_lines())
            refused = await page.http.get("/stream")
        page.feed.publish(b"2")

    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
