"""A real Prometheus scrapes running programs; an alert fires when EventBridge is refused."""

import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from ingest import tokens
from tests import programs
from tests.infra.prometheus import RULES, Prometheus, in_a_hurry, prometheus
from tests.infra.test_prometheus import panels
from tests.worker.support import World, now_ms, request, until

SECRET = "a secret of thirty-two bytes or more"  # pragma: allowlist secret

pytestmark = pytest.mark.slow


@pytest.fixture
def closed_url() -> Iterator[str]:
    """An address that refuses connections: bound for as long as the test runs, not listening."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


async def click(url: str, user: str) -> None:
    token = tokens.issue(SECRET, user, now_s=now_ms() / 1000, expires_in_s=60)
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.post(
            "/events/event/participations", headers={"Authorization": f"Bearer {token}"}
        )
    assert answer.status_code == 202, answer.text


async def until_true(monitor: Prometheus, expression: str) -> None:
    async def holds() -> bool:
        return bool(await monitor.query(expression))

    try:
        await until(holds, 30)
    except TimeoutError:
        raise AssertionError(f"never true: {expression}") from None


async def test_a_healthy_pipeline_is_seen_and_raises_no_alert(world: World, tmp_path: Path) -> None:
    await world.create_event("event", capacity=3)
    environment = programs.variables(world.connection, world.stack, JWT_SECRET=SECRET)
    async with world.program() as worker, programs.ingest(environment) as (_, url):
        port = (await worker.logged("worker_started"))["port"]
        targets = {"worker": f"127.0.0.1:{port}", "ingest": url.removeprefix("http://")}
        async with prometheus(tmp_path, targets) as monitor:
            # Rates need a sample from before.
            await until_true(monitor, "count(worker_messages_settled_total)")
            await until_true(monitor, "count(ingest_requests_total)")
            await until_true(monitor, 'count(up{job=~"worker|ingest"} == 1) == 2')
            for number in range(5):
                await click(url, f"user-{number}")
            await until_true(monitor, "sum(worker_messages_settled_total) == 5")
            await until_true(monitor, "sum(worker:messages_settled:rate1m) > 0")
            await until_true(monitor, "worker:e2e_delay_seconds:p95_5m > 0")
            await until_true(monitor, "ingest:request_seconds:p99_5m > 0")
            assert await monitor.value("sum(worker_publish_failures_total)") == 0
            assert await monitor.rule_errors() == []
            loaded = set(await monitor.rule_names())
            assert loaded == {
                rule.get("alert", rule.get("record"))
                for group in yaml.safe_load(RULES.read_text())["groups"]
                for rule in group["rules"]
            }
            assert await monitor.firing() == {}
            await every_panel_is_answered(monitor)


async def every_panel_is_answered(monitor: Prometheus) -> None:
    """Each panel's expression is valid, and has an answer once the programs work."""
    silent = set[str]()
    for title, expressions in panels().items():
        for expression in expressions:
            filled = re.sub(r"\$__(rate_interval|range)", "1m", expression)
            if not await monitor.query(filled.replace("$instance", ".*")):
                silent.add(title)
    # What never happened has no series, or no rate.
    assert silent <= {"Lost events by reason", "Failed calls", "Clock corrections"}


async def test_an_alert_fires_when_eventbridge_refuses_connections(
    world: World, tmp_path: Path, closed_url: str
) -> None:
    items = [request("event", f"user-{n}") for n in range(10)]
    await world.create_event("event", capacity=5)
    async with world.program(EVENTS_ENDPOINT_URL=closed_url) as worker:
        port = (await worker.logged("worker_started"))["port"]
        async with prometheus(tmp_path, {"worker": f"127.0.0.1:{port}"}) as monitor:
            await until_true(monitor, "worker_publish_failures_total == 0")
            assert "WorkerPublishFailing" not in await monitor.firing()
            await world.enqueue(items)
            await world.until_decided("event", len(items))

            async def fires() -> bool:
                return "WorkerPublishFailing" in await monitor.firing()

            await until(fires, 30)
            labels = (await monitor.firing())["WorkerPublishFailing"]
            lost = await monitor.value("sum(worker_publish_failures_total)")
    assert (labels["severity"], labels["reason"]) == ("warning", "connection")
    assert lost == len(items)
    # The policy holds meanwhile: nothing else suffers.
    assert await world.statuses("event") == {"SUCCEEDED": 5, "REJECTED": 5}
    assert not (await world.queue.describe()).approximate_messages


def test_the_rules_in_a_hurry_are_the_real_ones() -> None:
    def definitions(text: str) -> list[dict[str, Any]]:
        groups = yaml.safe_load(text)["groups"]
        return [
            {k: v for k, v in rule.items() if k != "for"} for g in groups for rule in g["rules"]
        ]

    real = RULES.read_text()
    assert definitions(in_a_hurry(real)) == definitions(real)
