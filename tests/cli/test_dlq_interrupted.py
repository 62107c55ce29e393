"""`participation dlq` interrupted: no message is half moved, hidden or lost."""

import signal

import pytest

from aws.queue import OutgoingMessage
from tests import programs
from tests.faults.proxy import FaultProxy
from tests.worker.support import World

DEAD = [OutgoingMessage(f"message {number}") for number in range(3)]


async def everything(world: World) -> tuple[list[str], list[str]]:
    """The bodies that anybody can receive from the main queue and from the DLQ."""
    in_main = [delivery.body for delivery in await world.queue.receive(10, 0, 0)]
    return in_main, [delivery.body for delivery in await world.dlq.receive(10, 0, 0)]


async def test_an_interrupted_redrive_finishes_the_batch_at_hand(
    world: World, proxy: FaultProxy, through: dict[str, str]
) -> None:
    await world.dlq.send(DEAD)
    command = ("dlq", "redrive", "--rate=1")

    with proxy.hold("SendMessageBatch", "forwarded") as gate:
        async with programs.participation(*command, environment=through) as program:
            await gate.reached()
            program.send(signal.SIGINT)
            gate.release()
            ended = await program.ended()

    assert ended.exit_code == 130
    assert "Traceback" not in ended.output
    assert "1 message(s) moved, 0 failed" in ended.output
    assert "run it again" in ended.output
    in_main, in_dlq = await everything(world)
    assert (len(in_main), len(in_dlq)) == (1, 2)
    assert {*in_main, *in_dlq} == {message.body for message in DEAD}


@pytest.mark.parametrize("command", [("list",), ("delete", "--all", "--yes")])
async def test_an_interrupted_look_changes_and_hides_nothing(
    world: World, proxy: FaultProxy, through: dict[str, str], command: tuple[str, ...]
) -> None:
    await world.dlq.send(DEAD)

    with proxy.hold("ReceiveMessage", "forwarded") as gate:
        async with programs.participation("dlq", *command, environment=through) as program:
            await gate.reached()
            program.send(signal.SIGINT)
            gate.release()
            ended = await program.ended()

    assert ended.exit_code == 130
    assert "interrupted: nothing was changed" in ended.output
    assert len((await everything(world))[1]) == 3
