"""Going through a dead-letter queue: each message once, and no faster than asked for."""

import anyio
import pytest

from aws.queue import Queue
from operations.dead_letters import Selection, browse
from operations.redrive import Redriven, redrive
from simulation.scenario import Kind
from tests.aws.model import NOW_MS, Aws
from tests.aws.scripted import Answer, Answering, ScriptedClient
from tests.virtual_time import virtual_time


@virtual_time
async def test_a_redrive_moves_no_more_than_its_rate_each_second() -> None:
    aws = Aws()
    aws.put(*(f"message {n}" for n in range(23)), to_dlq=True)
    moved: list[tuple[float, int]] = []
    began_s = anyio.current_time()

    def advanced(done: Redriven) -> None:
        moved.append((anyio.current_time() - began_s, done.moved))

    await redrive(aws.queue, aws.dlq, Selection(), NOW_MS, advanced, per_second=4)

    assert moved[-1][1] == 23
    assert all(count <= 4 + 4 * at_s for at_s, count in moved)
    assert moved[-1][0] == pytest.approx(5)


def receiving(*batches: str) -> Queue:
    """A queue whose receives get these messages, one for each letter, the last batch forever."""
    answers: list[Answer | Exception | Answering] = [
        {"Messages": [_received(name) for name in batch]} for batch in batches
    ]
    return Queue(ScriptedClient(answers), "dlq", is_dlq=True)


def _received(name: str) -> Answer:
    attributes = {"SentTimestamp": str(NOW_MS)}
    return {"MessageId": name, "ReceiptHandle": name, "Body": name, "Attributes": attributes}


@pytest.mark.parametrize(
    "received",
    [("ab", "ab", "ac", "b", "d", ""), ("ab", "c", "d", "abcd")],
    ids=["some come back before others come", "they come back forever"],
)
async def test_each_message_is_seen_once_though_it_comes_back(received: tuple[str, ...]) -> None:
    """It is hidden for two minutes, and a slow redrive takes longer."""
    seen = ""

    async with browse(receiving(*received)) as batches:
        async for batch in batches:
            seen += "".join(delivery.body for delivery in batch)

    assert seen == "abcd"


@virtual_time
async def test_who_looks_and_cannot_show_the_messages_again_has_looked_all_the_same() -> None:
    aws = Aws()
    aws.put("message", to_dlq=True)
    aws.wire.faults["ChangeMessageVisibilityBatch"] = iter([Kind.LOST])

    async with browse(aws.dlq) as batches:
        assert [len(batch) async for batch in batches] == [1]
