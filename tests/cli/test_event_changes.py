"""Changes of events that end early: what is known is said, and what is not."""

import signal

from tests import programs
from tests.faults.actions import Answer, Fault
from tests.faults.proxy import FaultProxy
from tests.worker.support import World

CHANGE = "TransactWriteItems"
LOOK = "look at the total by `participation events show` before you repeat this"


async def test_an_interrupted_addition_of_seats_says_that_its_effect_is_unknown(
    world: World, proxy: FaultProxy, through: dict[str, str]
) -> None:
    await world.create_event("e1", capacity=5)

    with proxy.hold(CHANGE, "arrived") as gate:
        async with programs.participation(
            "events", "add-seats", "e1", "3", environment=through
        ) as program:
            await gate.reached()
            program.send(signal.SIGINT)
            ended = await program.ended()

    assert ended.exit_code == 130
    assert LOOK in ended.output
    assert "Traceback" not in ended.output


async def test_a_missing_permission_is_one_sentence_that_names_it(
    world: World, proxy: FaultProxy, through: dict[str, str]
) -> None:
    await world.create_event("e1", capacity=5)
    sentence = "not authorized to perform: dynamodb:UpdateItem"

    with proxy.add(Fault(CHANGE, Answer(400, "AccessDeniedException", sentence))):
        async with programs.participation("events", "close", "e1", environment=through) as program:
            ended = await program.ended()

    assert ended.exit_code == 1
    assert "this role may not do dynamodb:UpdateItem" in ended.output
    assert len(ended.output.splitlines()) == 1
