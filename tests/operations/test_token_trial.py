"""What can be tried of tokens from here: ingest's answer, and its key set."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from operations.account.facts import TokenSource
from operations.account.tokens import tried

SECRET = TokenSource(has_secret=True, jwks_url=None)


@contextmanager
def ingest(token: str) -> Iterator[str]:
    """Answers a user's requests to one token, and a key set without any key to the rest."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            accepted = self.headers["Authorization"] == f"Bearer {token}"
            is_theirs = self.path == "/me/participations"
            self.send_response(200 if accepted or not is_theirs else 401)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": []}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("token", "status"), [("ours", 200), ("another", 401), (None, 401)])
async def test_ingest_is_asked_for_a_users_requests_with_the_token(
    token: str | None, status: int
) -> None:
    with ingest("ours") as url:
        trial = await tried(SECRET, url, token)
    assert (trial.status, trial.has_token) == (status, token is not None)
    assert trial.ingest_error is trial.key_set_error is None


async def test_a_key_set_without_a_usable_key_is_named() -> None:
    with ingest("ours") as url:
        trial = await tried(TokenSource(has_secret=False, jwks_url=f"{url}/keys"), url, None)
    assert trial.key_set_error == f"{url}/keys: it holds no key for RS256 or ES256"
    assert trial.status == 401


async def test_an_ingest_that_does_not_answer_is_named() -> None:
    trial = await tried(SECRET, "http://127.0.0.1:1", "ours")
    assert trial.status is None
    assert trial.ingest_error is not None
    assert trial.ingest_error.startswith("http://127.0.0.1:1 does not answer: ConnectError")
