"""What ingest's answers to one user become in words."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from local.live import crowd

_SECRET = "a secret of thirty-two bytes or more"


def answering(status: int, document: Mapping[str, Any], asked: list[str]) -> httpx.AsyncClient:
    """A client of an ingest that answers everything the same."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.raw_path.decode()}")
        return httpx.Response(status, json=document)

    return httpx.AsyncClient(base_url="http://ingest", transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("status", "document", "text"),
    [
        (202, {"requestId": "r", "isDuplicate": False}, "202"),
        (202, {"requestId": "r", "isDuplicate": True}, "202, a duplicate, the same request"),
        (409, {"title": "The event is closed"}, "409, The event is closed"),
        (404, {"title": "No such event"}, "404, No such event"),
    ],
)
async def test_a_click_s_answer_says_what_its_status_does_not(
    status: int, document: dict[str, Any], text: str
) -> None:
    asked: list[str] = []
    async with answering(status, document, asked) as http:
        click = await crowd.click(http, "an/event")

    assert str(click) == text
    assert asked == ["POST /events/an%2Fevent/participations"]


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        ("SUCCEEDED", "SUCCESS", "SUCCEEDED"),
        ("REJECTED", "REJECTED_CAPACITY", "REJECTED, no seat was left"),
        ("FAILED_FINAL", "FAILED_WORKER", "FAILED_FINAL, FAILED_WORKER"),
        ("QUEUED", None, "QUEUED, not decided within 20 s"),
    ],
)
async def test_a_decision_is_waited_for_and_has_its_reason(
    status: str, code: str | None, text: str
) -> None:
    asked: list[str] = []
    async with answering(200, {"status": status, "resultCode": code}, asked) as http:
        assert await crowd.decision(http, "r") == text
    assert asked == ["GET /requests/r?wait=20"]


async def test_a_decision_that_cannot_be_read_is_no_refused_click() -> None:
    async with answering(503, {"title": "Busy"}, []) as http:
        assert (
            await crowd.decision(http, "r")
            == "accepted, but its decision cannot be read (503, Busy)"
        )


def test_a_name_that_no_token_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 512 bytes"):
        crowd.client_of("", "http://ingest", _SECRET)
