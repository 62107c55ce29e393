"""Key sets: fetching and refreshing, rotation, unknown keys, and a URL that fails."""

import gzip
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress
from random import Random
from time import time

import anyio
import httpx
import jwt
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from ingest.app import create_app
from ingest.gateway import Unavailable
from ingest.jwks import MAX_DOCUMENT_BYTES, KeySet, KeySetError, RefreshPolicy
from ingest.metrics import IngestMetrics
from ingest.tokens import InvalidToken, TokenAuthenticator
from tests.ingest.issuer import (
    NEXT_KEY,
    RSA_KEY,
    RULES,
    URL,
    Answer,
    Issuer,
    answer,
    failure,
    user_of,
)
from tests.ingest.support import Clock, MemoryGateway, now_ms, settings_of
from tests.virtual_time import virtual_time

POLICY = RefreshPolicy()


async def outcome(key_set: KeySet, token: str) -> str:
    """What becomes of a token, which nobody may wait for."""
    began_s = anyio.current_time()
    try:
        return await user_of(key_set, token)
    except jwt.PyJWTError:
        return "refused"
    except Unavailable:
        return "later"
    finally:
        assert anyio.current_time() == began_s


@virtual_time
async def test_a_new_key_is_fetched_when_the_first_token_names_it() -> None:
    issuer = Issuer(RSA_KEY.jwk)
    async with issuer.key_set().running() as key_set:
        await anyio.sleep(11)
        issuer.jwks = [RSA_KEY.jwk, NEXT_KEY.jwk]
        issuer.wait_s = 0.2
        assert await outcome(key_set, NEXT_KEY.token()) == "later"
        await anyio.sleep(0.1)
        assert await outcome(key_set, NEXT_KEY.token()) == "later"
        assert await outcome(key_set, RSA_KEY.token()) == "user-1"
        await anyio.sleep(0.2)
        assert await outcome(key_set, NEXT_KEY.token()) == "user-1"
        assert await outcome(key_set, RSA_KEY.token()) == "user-1"

    assert issuer.fetches == 2


@virtual_time
async def test_unknown_key_names_make_one_fetch_in_ten_seconds_at_most() -> None:
    issuer = Issuer(RSA_KEY.jwk)
    async with issuer.key_set().running() as key_set:
        issuer.wait_s = 0.25
        found = []
        for number in range(600):
            found.append(await outcome(key_set, NEXT_KEY.token(kid=f"made-up-{number}")))
            await anyio.sleep(0.1)

    assert issuer.fetches == 6
    # Between two fetches it is sure that nobody has such a key.
    assert found[:100] == ["refused"] * 100
    assert (found.count("later"), found.count("refused")) == (5 * 3, 600 - 5 * 3)


@virtual_time
async def test_made_up_keys_and_a_slow_key_set_shut_nobody_out() -> None:
    issuer = Issuer(RSA_KEY.jwk)
    async with issuer.key_set().running() as key_set:
        await anyio.sleep(11)
        issuer.answer = answer(content=b"x" * 100, piece_bytes=1, every_s=1)
        users = TokenAuthenticator(key_set, RULES, log_key=b"key", now_s=time)
        app = create_app(
            MemoryGateway(),
            users,
            settings_of(max_pending_requests=3),
            metrics=IngestMetrics(CollectorRegistry()),
            clock_ms=Clock(now_ms()),
            stopwatch_s=anyio.current_time,
            random=Random(0),
            write_line=lambda *_line: None,
        )
        statuses: list[int] = []

        async def click(token: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"}
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as http:
                return await http.post("/events/event-1/participations", headers=headers)

        async def attack(number: int) -> None:
            statuses.append((await click(NEXT_KEY.token(kid=f"made-up-{number}"))).status_code)

        began_s = anyio.current_time()
        async with anyio.create_task_group() as attackers:
            for number in range(20):
                attackers.start_soon(attack, number)
                await anyio.sleep(0.01)
            honest = [await click(RSA_KEY.token(f"user-{number}")) for number in range(5)]
            waiting = await click(NEXT_KEY.token())
        assert [one.status_code for one in honest] == [202] * 5
        assert statuses == [503] * 20
        assert int(waiting.headers["retry-after"]) >= 1
        assert anyio.current_time() - began_s < 1  # nobody waited for the key set


@virtual_time
async def test_while_the_key_set_fails_nobody_can_say_that_a_key_is_unknown() -> None:
    issuer = Issuer(RSA_KEY.jwk)
    async with issuer.key_set().running() as key_set:
        await anyio.sleep(11)
        issuer.answer = answer(500)
        assert await outcome(key_set, NEXT_KEY.token()) == "later"
        await anyio.sleep(0.1)
        assert issuer.fetches == 2
        assert await outcome(key_set, NEXT_KEY.token()) == "later"
        assert await outcome(key_set, RSA_KEY.token()) == "user-1"
        issuer.answer = None
        await anyio.sleep(2)
        assert await outcome(key_set, NEXT_KEY.token()) == "refused"


@virtual_time
async def test_a_key_that_was_taken_away_is_refused_after_the_next_refresh() -> None:
    issuer = Issuer(RSA_KEY.jwk, NEXT_KEY.jwk)
    async with issuer.key_set(POLICY).running() as key_set:
        users = TokenAuthenticator(key_set, RULES, log_key=b"key", now_s=time)
        token = RSA_KEY.token()
        await users.identify(token)
        issuer.jwks = [NEXT_KEY.jwk]
        await anyio.sleep(301)
        with pytest.raises(InvalidToken):
            await users.identify(token)


@virtual_time
async def test_a_key_that_changes_under_its_name_replaces_the_old_one() -> None:
    issuer = Issuer(RSA_KEY.jwk)
    async with issuer.key_set(POLICY).running() as key_set:
        before = key_set.generation
        issuer.jwks = [NEXT_KEY.jwk | {"kid": "rsa-1"}]
        await anyio.sleep(301)
        assert key_set.generation == before + 1
        assert await outcome(key_set, RSA_KEY.token()) == "refused"
        assert await outcome(key_set, NEXT_KEY.token(kid="rsa-1")) == "user-1"


BOMB = gzip.compress(b" " * MAX_DOCUMENT_BYTES)
FAILURES: dict[str, Answer] = {
    "500": answer(500),
    "a redirect": answer(302, headers={"Location": "https://evil.example/jwks.json"}),
    "a page": answer(content=b"<html>"),
    "a list": answer(content=b"[]"),
    "no list of keys": answer(content=b'{"keys": {}}'),
    "no key": answer(content=b'{"keys": []}'),
    "no text": answer(content=b"\xff\xfe"),
    "deep": answer(content=b'{"keys":' + b"[" * 100_000),
    "too large": answer(content=b" " * (MAX_DOCUMENT_BYTES + 1)),
    "encoded": answer(content=BOMB, headers={"Content-Encoding": "gzip"}),
    "encoded twice": answer(content=BOMB, headers={"Content-Encoding": "gzip, identity"}),
    "a byte a second": answer(content=b" " * 9, piece_bytes=1, every_s=1),
    "no connection": failure(httpx.ConnectError("refused")),
    "no answer": failure(httpx.ReadTimeout("slow")),
    "no protocol": failure(httpx.RemoteProtocolError("x" * 100_000)),
    "no URL": failure(httpx.InvalidURL("odd")),
    "no host": failure(OSError("no such host")),
    "no ASCII": failure(UnicodeError("label too long")),
    "a defect": failure(RuntimeError("what")),
    "a defect of ours": failure(KeyError("what")),
    "too deep": failure(RecursionError("what")),
    "no memory": failure(MemoryError()),
}


@pytest.mark.parametrize("given", FAILURES.values(), ids=FAILURES)
def test_while_the_url_fails_the_last_keys_stay_in_use(given: Answer) -> None:
    @virtual_time
    async def main() -> None:
        issuer = Issuer(RSA_KEY.jwk)
        async with issuer.key_set(POLICY).running() as key_set:
            issuer.answer = given
            with capture_logs() as logs:
                await anyio.sleep(300 + POLICY.fetch_timeout_s + 0.2)
            assert {line["event"] for line in logs} == {"key_set_not_refreshed"}
            assert all(len(line["error"]) < 300 for line in logs)
            assert await outcome(key_set, RSA_KEY.token()) == "user-1"
            issuer.answer, issuer.jwks = None, [RSA_KEY.jwk, NEXT_KEY.jwk]
            await anyio.sleep(15)  # tried again soon, not after the whole interval
            fetches = issuer.fetches
            assert await outcome(key_set, NEXT_KEY.token()) == "user-1"
            assert issuer.fetches == fetches

    main()


@pytest.mark.parametrize("given", FAILURES.values(), ids=FAILURES)
def test_without_a_key_set_it_does_not_start_and_says_why(given: Answer) -> None:
    @virtual_time
    async def main() -> None:
        issuer = Issuer()
        issuer.answer = given
        with pytest.raises(KeySetError, match=f"^{URL}: .+"), anyio.fail_after(10):
            async with issuer.key_set().running():
                pass

    main()


@pytest.mark.parametrize(("wait_s", "every_s"), [(60.0, 0.0), (4.0, 0.1), (0.0, 0.9)])
def test_a_whole_fetch_has_one_deadline(wait_s: float, every_s: float) -> None:
    @virtual_time
    async def main() -> None:
        issuer = Issuer()
        issuer.wait_s = wait_s
        issuer.answer = answer(content=b" " * 1_000, piece_bytes=10, every_s=every_s)
        began_s = anyio.current_time()
        with pytest.raises(KeySetError, match="no whole answer within 5 s"):
            await issuer.key_set().refresh()
        assert anyio.current_time() - began_s == pytest.approx(5)

    main()


@virtual_time
async def test_an_encoded_answer_is_neither_asked_for_nor_decoded() -> None:
    issuer = Issuer()
    bomb = gzip.compress(b" " * 50_000_000)
    issuer.answer = answer(content=bomb, headers={"Content-Encoding": "gzip"})
    tracemalloc.start()
    try:
        with pytest.raises(KeySetError, match="encoded"):
            await issuer.key_set().refresh()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert issuer.requests[0].headers["accept-encoding"] == "identity"
    assert peak_bytes < MAX_DOCUMENT_BYTES


@virtual_time
async def test_an_endless_answer_is_read_up_to_the_bound() -> None:
    issuer, sent = Issuer(), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536

    issuer.answer = lambda: httpx.Response(200, content=endless())
    with pytest.raises(KeySetError, match="larger than"):
        await issuer.key_set().refresh()

    assert sent <= MAX_DOCUMENT_BYTES + 65_536


@virtual_time
async def test_what_a_url_keeps_secret_is_in_no_error() -> None:
    key_set = Issuer().key_set(url="https://issuer.example/jwks.json?key=hunter2")

    with pytest.raises(KeySetError) as caught:
        await key_set.refresh()

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
async def test_a_server_that_stops_answering_is_left_at_the_deadline(sent: bytes) -> None:
    closed = anyio.Event()

    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await stream.receive()
                if sent:
                    await stream.send(sent)
                await stream.receive()
            closed.set()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - it is no Django
    url = f"http://127.0.0.1:{port}/jwks.json"
    async with (
        listener,
        anyio.create_task_group() as tasks,
        httpx.AsyncClient() as http,
    ):
        tasks.start_soon(listener.serve, handle)
        with pytest.raises(KeySetError, match=r"no whole answer within 0\.5 s"):
            await KeySet(url, http, RefreshPolicy(fetch_timeout_s=0.5)).refresh()
        await closed.wait()
        tasks.cancel_scope.cancel()
