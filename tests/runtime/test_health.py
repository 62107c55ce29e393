"""The HTTP port: metrics and checks, answered by a thread of its own."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import anyio
import pytest
from prometheus_client import CollectorRegistry, Counter

from runtime import health
from runtime.health import LoopBeat
from tests.virtual_time import virtual_time


@contextmanager
def serving(
    healthy: health.Check = lambda: None, ready: health.Check = lambda: None
) -> Iterator[str]:
    registry = CollectorRegistry()
    Counter("worker_things", "Things.", registry=registry).inc(3)
    with health.serve("127.0.0.1", 0, registry, healthy, ready) as port:
        yield f"http://127.0.0.1:{port}"


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own port
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_are_prometheus_text() -> None:
    with serving() as url:
        status, text = get(f"{url}/metrics")

    assert status == 200
    assert "# TYPE worker_things_total counter" in text
    assert "worker_things_total 3.0" in text


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_sound_worker_says_ok(path: str) -> None:
    with serving() as url:
        assert get(url + path) == (200, "ok\n")


def test_each_check_says_what_is_wrong_with_it_alone() -> None:
    with serving(healthy=lambda: "poller 1 has ended") as url:
        assert get(f"{url}/healthz") == (503, "poller 1 has ended\n")
        assert get(f"{url}/readyz") == (200, "ok\n")
    with serving(ready=lambda: "draining") as url:
        assert get(f"{url}/healthz") == (200, "ok\n")
        assert get(f"{url}/readyz") == (503, "draining\n")


def test_another_path_is_not_found() -> None:
    with serving() as url:
        status, text = get(f"{url}/")

    assert status == 404
    assert "/metrics" in text


async def test_it_answers_while_the_event_loop_is_blocked() -> None:
    with serving() as url:
        # This call blocks the loop until the answer is there.
        assert get(f"{url}/healthz") == (200, "ok\n")


def test_a_taken_port_is_an_error() -> None:
    with serving() as url:
        port = int(url.rpartition(":")[2])
        with (
            pytest.raises(OSError, match="in use"),
            health.serve("127.0.0.1", port, CollectorRegistry(), lambda: None, lambda: None),
        ):
            pass


def test_the_port_is_free_again_afterwards() -> None:
    with serving() as url:
        pass

    with pytest.raises(urllib.error.URLError):
        get(f"{url}/healthz")


def test_a_loop_that_does_not_turn_for_five_seconds_is_unhealthy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = monotonic()
    monkeypatch.setattr(health, "monotonic", lambda: now_s)
    registry = CollectorRegistry()
    beat = LoopBeat(registry)

    assert registry.get_sample_value("event_loop_lag_seconds") == 0
    now_s += 4.9
    assert beat.check() is None
    now_s += 3
    assert beat.check() == "the event loop has been blocked for 8 s"


@virtual_time
async def test_a_loop_that_turns_stays_healthy_and_its_lag_is_measured() -> None:
    monkeypatch = pytest.MonkeyPatch()
    lag_s = 0.0
    with monkeypatch.context() as patched:
        patched.setattr(health, "monotonic", lambda: anyio.current_time() + lag_s)
        registry = CollectorRegistry()
        beat = LoopBeat(registry)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat.run)
            await anyio.sleep(60.25)
            assert beat.check() is None
            assert anyio.current_time() - beat.loop_time_s <= 0.5
            assert registry.get_sample_value("event_loop_lag_seconds") == pytest.approx(0, abs=1e-6)
            lag_s = 2.0
            await anyio.sleep(0.5)
            tasks.cancel_scope.cancel()

    lag = registry.get_sample_value("event_loop_lag_seconds")
    assert lag == pytest.approx(2, abs=1e-6)
