"""A storm of clicks on the embedded AWS: every answer 202, one request a user."""

import ssl

import anyio
import httpx
import pytest

from schema.states import Status
from tests.ingest.live import Live, click

USERS = [f"user-{n}" for n in range(50)]
CLICKS = 5_000
CONNECTIONS = 100
TLS = ssl.create_default_context()


@pytest.mark.slow
async def test_five_thousand_clicks_of_fifty_users_make_fifty_requests(live: Live) -> None:
    answers: list[tuple[str, str, bool]] = []
    clicks = iter(range(CLICKS))

    async with live.program(EVENT_CACHE_TTL_S="1") as (_, url):

        async def keep_clicking() -> None:
            # A client for each connection: a shared one searches its whole pool each time.
            async with httpx.AsyncClient(base_url=url, timeout=60, verify=TLS) as http:
                for number in clicks:
                    user = USERS[number % len(USERS)]
                    answer = await click(http, user)
                    while answer.status_code == 503:  # on a busy machine; as any client does
                        answer = await click(http, user)
                    assert answer.status_code == 202, answer.text
                    body = answer.json()
                    answers.append((user, body["requestId"], body["isDuplicate"]))

        async with anyio.create_task_group() as tasks:
            for _ in range(CONNECTIONS):
                tasks.start_soon(keep_clicking)

    assert len(answers) == CLICKS
    names = {(user, request_id) for user, request_id, _ in answers}
    assert len(names) == len({request_id for _, request_id in names}) == len(USERS)
    # Fewer only where a user's first click was stored and could not be answered in time.
    assert sum(not is_duplicate for *_, is_duplicate in answers) <= len(USERS)
    items = await live.world.items("event-1")
    assert {(item.user_id, item.request_id) for item in items.values()} == names
    assert {item.status for item in items.values()} == {Status.QUEUED}
    messages = await live.messages()
    assert {(m.user_id, m.request_id) for m in messages} == names
    assert {m.event_id for m in messages} == {"event-1"}
