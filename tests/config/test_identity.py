"""The name of a worker: given, else the ECS task's, else the host's."""

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from config import identity

VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"


@contextmanager
def metadata_endpoint(answer: bytes, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """A task metadata endpoint on a free port, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v4/abc", asked
        finally:
            server.shutdown()
            thread.join()


def test_the_given_name_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1:1")

    assert identity.worker_id("worker-7") == "worker-7"


def test_on_ecs_it_is_the_task_s_id(monkeypatch: pytest.MonkeyPatch) -> None:
    arn = b'{"TaskARN": "arn:aws:ecs:ap-northeast-2:111122223333:task/main/158d1c8083dd49d6"}'
    with metadata_endpoint(arn) as (url, asked):
        monkeypatch.setenv(VARIABLE, url)

        assert identity.worker_id(None) == "158d1c8083dd49d6"

    assert asked == ["/v4/abc/task"]


@pytest.mark.parametrize("configured", [None, ""])
def test_elsewhere_it_is_the_host_s_name(
    monkeypatch: pytest.MonkeyPatch, configured: str | None
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)

    assert identity.worker_id(configured) == socket.gethostname()


@pytest.mark.parametrize(
    ("answer", "status"), [(b"not json", 200), (b"{}", 200), (b"no", 500), (b"[]", 200)]
)
def test_an_endpoint_without_a_useful_answer_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, status: int
) -> None:
    with metadata_endpoint(answer, status) as (url, _asked):
        monkeypatch.setenv(VARIABLE, url)

        assert identity.worker_id(None) == socket.gethostname()


def test_an_endpoint_that_is_not_there_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{unused.getsockname()[1]}")

        assert identity.worker_id(None) == socket.gethostname()


def test_only_http_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "file:///etc")

    assert identity.worker_id(None) == socket.gethostname()
