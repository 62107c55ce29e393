"""Programs of other processes behind the proxy: killed at a chosen point, stopped, read."""

import signal
import sys

import anyio
import pytest

from tests.faults.actions import THROTTLE, Fault
from tests.faults.conftest import World
from tests.faults.program import kill_at, started
from tests.faults.proxy import FaultProxy

# A program that sends one message, and then waits for SIGTERM.
SENDER = """
import json, os, signal, sys, urllib.error, urllib.request

def stop(*_):
    print(json.dumps({"event": "stopped", "left": 0}))
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
body = json.dumps({"QueueUrl": os.environ["QUEUE_URL"], "MessageBody": "from outside"})
headers = {
    "X-Amz-Target": "AmazonSQS.SendMessage",
    "Content-Type": "application/x-amz-json-1.0",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20250101/ap-northeast-2/sqs/aws4_request",
}
print("not a log line")
print(json.dumps({"event": "sending"}))
request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], body.encode(), headers)
try:
    urllib.request.urlopen(request).read()
except urllib.error.HTTPError as error:
    print(json.dumps({"event": "refused", "status": error.code}))
    sys.exit(3)
print(json.dumps({"event": "sent"}), file=sys.stderr)
signal.pause()
"""
COMMAND = [sys.executable, "-c", SENDER]


def _environment(proxy: FaultProxy, world: World) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": proxy.endpoint_url, "QUEUE_URL": world.queue_url}


async def test_a_program_killed_before_its_call_takes_effect_leaves_no_effect(
    proxy: FaultProxy, world: World
) -> None:
    gate = proxy.hold("SendMessage", "arrived")
    async with started(COMMAND, _environment(proxy, world)) as program:
        call = await kill_at(gate, program)
        ended = await program.ended()

    assert ended.exit_code == -signal.SIGKILL
    assert ended.logs == [{"event": "sending"}]
    assert "not a log line" in ended.output
    with anyio.fail_after(5):
        while call.outcome == "open":  # noqa: ASYNC110 - an outcome wakes nobody
            await anyio.sleep(0.01)
    assert not call.took_effect
    assert await world.bodies() == []


async def test_a_program_killed_after_its_call_took_effect_gets_no_answer(
    proxy: FaultProxy, world: World
) -> None:
    gate = proxy.hold("SendMessage", "forwarded")
    async with started(COMMAND, _environment(proxy, world)) as program:
        call = await kill_at(gate, program)
        ended = await program.ended()

    assert ended.logs == [{"event": "sending"}]
    assert call.took_effect
    assert await world.bodies() == ["from outside"]


async def test_a_program_stopped_by_sigterm_is_read_to_its_last_line(
    proxy: FaultProxy, world: World
) -> None:
    async with started(COMMAND, _environment(proxy, world)) as program:
        await program.logged("sent")
        program.send(signal.SIGTERM)
        ended = await program.ended()

    assert ended.exit_code == 0
    assert [line["event"] for line in ended.logs] == ["sending", "sent", "stopped"]
    assert proxy.count("SendMessage", "answered") == 1


async def test_waiting_for_a_program_that_has_ended_shows_what_it_wrote(
    proxy: FaultProxy, world: World
) -> None:
    proxy.add(Fault("SendMessage", THROTTLE))
    gate = proxy.hold("DeleteMessage")
    async with started(COMMAND, _environment(proxy, world)) as program:
        with pytest.raises(AssertionError, match='"status": 400'):
            await kill_at(gate, program)
        with pytest.raises(AssertionError, match='"status": 400'):
            await program.logged("sent")
        assert (await program.ended()).exit_code == 3


async def test_a_program_left_running_is_killed_at_the_end_of_the_block(
    proxy: FaultProxy, world: World
) -> None:
    async with started(COMMAND, _environment(proxy, world)) as program:
        await program.logged("sent")
    assert await program.wait() == -signal.SIGKILL


async def test_settings_of_the_one_who_runs_the_tests_do_not_reach_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TABLE_NAME", "precious")
    command = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    async with started(command, {"LOG_LEVEL": "debug"}) as program:
        (environment,) = (await program.ended()).logs
    assert environment["LOG_LEVEL"] == "debug"
    assert "TABLE_NAME" not in environment
