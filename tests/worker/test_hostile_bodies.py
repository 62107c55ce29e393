"""Bodies that nobody would send: the decoder accepts or names a reason, and nothing is lost."""

import random
from collections.abc import Iterator

import orjson
import pytest

from aws.queue import OutgoingMessage
from schema import message
from schema.message import DefectReason, MessageDefect, ParticipationMessage
from tests.worker.support import World

BODIES = 100_000
SAMPLE = 1_000
VALID = '{"requestId":"r-1","eventId":"E1","userId":"user-1","queuedAt":1704290000000}'
# What SQS takes: #x9 | #xA | #xD | #x20-#xD7FF | #xE000-#xFFFD | #x10000-#x10FFFF.
PIECES = [
    *'{}[]":,\\/ \t\n-+.eE0123456789truefalsnRequstIdvQA',
    "ü",
    "참",
    "�",
    "😀",
    "\\ud800",
    "\\u0000",
    "1e999",
    "9" * 400,
    "null",
    "true",
    '"requestId"',
]


def values(chance: random.Random) -> object:
    """A JSON value of any kind, some of them huge or deep."""
    kinds: list[object] = [
        None,
        True,
        chance.randint(-(2**63), 2**64 - 1),
        chance.random() * 10**300,
        "",
        "x" * chance.choice((1, 511, 512, 513, 5000)),
        "참가" * chance.randint(1, 200),
        [],
        {},
        [[[[]]]],
        {"requestId": {"requestId": "r"}},
        1704290000000,
        0,
        -1,
        10**13,
    ]
    return chance.choice(kinds)


def bodies(count: int, seed: int) -> Iterator[str]:
    """Mutations of a real body, documents with wrong fields, and plain noise."""
    chance = random.Random(seed)
    names = ("requestId", "eventId", "userId", "queuedAt", "extra", "requestid", "")
    for number in range(count):
        kind = number % 4
        if kind == 0:
            at = chance.randrange(len(VALID))
            cut = chance.randrange(1, 6)
            yield VALID[:at] + chance.choice(PIECES) + VALID[at + cut :]
        elif kind == 1:
            fields = {name: values(chance) for name in chance.sample(names, chance.randint(0, 6))}
            yield orjson.dumps(fields).decode()
        elif kind == 2:
            known = orjson.loads(VALID) | {chance.choice(names): values(chance)}
            yield orjson.dumps(known).decode()
        else:
            noise = "".join(chance.choice(PIECES) for _ in range(chance.randint(1, 40)))
            yield chance.choice((noise, "[" * chance.randint(1, 3000), noise * 20))


def test_every_body_is_accepted_or_has_a_reason() -> None:
    accepted = refused = 0
    for body in bodies(BODIES, seed=1):
        read = message.decode(body)
        if isinstance(read, ParticipationMessage):
            accepted += 1
            assert message.decode(read.encode()) == read
        else:
            refused += 1
            assert isinstance(read, MessageDefect)
            assert read.reason in DefectReason
            assert read.detail
    assert accepted > BODIES // 100
    assert refused > BODIES // 2


@pytest.mark.slow
async def test_a_sample_of_hostile_bodies_lands_in_the_dlq_byte_for_byte(world: World) -> None:
    sample = [body for body in bodies(SAMPLE, seed=2) if len(body) < 50_000]
    for start in range(0, len(sample), 10):
        results = await world.queue.send(
            [OutgoingMessage(body) for body in sample[start : start + 10]]
        )
        assert all(isinstance(result, str) for result in results), results

    async with world.worker() as parts:
        await world.until_empty()

    # None of the requests exists, so that even the acceptable bodies are quarantined.
    dead = [delivery.body for delivery in await world.dead_letters()]
    assert sorted(dead) == sorted(sample)
    assert parts.state.tally.settled == len(sample)
    events = await world.published()
    assert len(events) == len(sample)
