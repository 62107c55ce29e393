"""Each attack in short on a running ingest: memory, others' waiting, answers, logs, and the end."""

import signal
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from local.emulator.ministack import Emulator
from runtime.stop import ExitCode
from tests.faults.program import Program
from tests.security import own
from tests.security.attack import Attack, run
from tests.security.attacks import ALL
from tests.security.client import Target, ask, crowd

SECONDS = 2.0
PATIENCE_S = 10.0
"""The issue's bound is one second; this one is for machines that are busy with other tests."""
CONNECTIONS = 600
# Slow, silent and deaf clients must be gone within SECONDS.
SHORT = {"HEAD_TIMEOUT_S": "1", "UNREAD_TIMEOUT_S": "1"}

Running = tuple[Program, Target]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(emulator: Emulator) -> AsyncIterator[Running]:
    """One ingest for all attacks: what one leaves behind, the next one meets."""
    async with own.running(emulator.connection, connections=CONNECTIONS, **SHORT) as started:
        program, target = started
        yield program, replace(target, patience_s=PATIENCE_S)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("attack", ALL, ids=lambda attack: attack.name)
async def test_an_attack_harms_nobody_else(attack: Attack, running: Running) -> None:
    program, target = running

    result = await run(attack, target, SECONDS)

    print(result)
    assert result.faults == []
    assert None not in {result.rss_mb, result.log_mb}
    assert program.is_running


@pytest.mark.asyncio(loop_scope="module")
async def test_refusals_are_logged_but_not_each(running: Running) -> None:
    program, target = running

    for _ in range(100):
        await ask(target, b"\x00\r\n\r\n", seconds=PATIENCE_S)
    await program.logged("client_refused", where=lambda line: line["reason"] == "bad_request")

    lines = [line for line in program.logs if line.get("event") == "client_refused"]
    assert 0 < len([line for line in lines if line["reason"] == "bad_request"]) < 100


async def test_amid_attackers_of_every_kind_it_drains_and_exits_0(emulator: Emulator) -> None:
    begun = (
        b"",
        b"GET /heal",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
        b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 200,
    )
    async with (
        own.running(emulator.connection, connections=CONNECTIONS, **SHORT) as (program, target),
        crowd(target, 100, receive_buffer=4_096) as clients,
    ):
        for number, client in enumerate(clients):
            client.deafen()
            await client.send(begun[number % len(begun)])
        program.send(signal.SIGTERM)
        ended = await program.ended()

    assert ended.exit_code == ExitCode.DRAINED
    assert "Traceback" not in ended.output
