"""Spoilt answers in any segments: never a wrong answer, no hang, no lost slot."""

from collections import Counter
from random import Random

import anyio
import pytest
from botocore.exceptions import BotoCoreError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.aws.lean.service import OK, REQUEST, Visit, pool_to, serving
from tests.security import fuzz_answers as fuzz


@settings(max_examples=1500)
@given(st.randoms(use_true_random=False))
def test_what_is_taken_is_what_h11_takes(random: Random) -> None:
    judged = fuzz.case(random)
    assert not fuzz.is_wrong(judged.found, judged.expected), judged


@given(st.randoms(use_true_random=False))
def test_well_formed_answers_are_taken_however_they_are_cut(random: Random) -> None:
    received = fuzz.answer(random)
    found = fuzz.ours(fuzz.segments(random, received))
    assert found == fuzz.ours([received]) == fuzz.reference(received)
    assert found.taken


@given(st.randoms(use_true_random=False), st.integers(0, 400))
def test_a_cut_answer_is_never_taken(random: Random, kept: int) -> None:
    received = fuzz.answer(random)
    cut = received[: min(kept, len(received) - 1)]
    assert not fuzz.ours(fuzz.segments(random, cut)).taken


@given(st.randoms(use_true_random=False), st.binary(min_size=1, max_size=9))
def test_bytes_behind_an_answer_are_never_dropped(random: Random, more: bytes) -> None:
    assert not fuzz.ours([fuzz.answer(random) + more]).taken


@pytest.mark.parametrize("seed", range(3))
async def test_over_sockets_every_call_ends_and_the_slot_comes_back(seed: int) -> None:
    """Each second answer is well formed: its call gets it, and nothing of the one before it."""
    random, outcomes = Random(seed), Counter[str]()
    spoilt = [fuzz.case(random) for _ in range(150)]
    answers = iter([pieces for judged in spoilt for pieces in (judged.pieces, [OK])])

    async def behave(visit: Visit) -> None:
        while True:
            await visit.read()
            for piece in next(answers):
                await visit.stream.send(piece)
            if random.random() < 0.5:
                return

    async with serving(behave) as server, pool_to(server.port, connections=1) as pool:
        with anyio.fail_after(60):
            for judged in spoilt:
                try:
                    answer = await pool.post(REQUEST)
                except BotoCoreError:
                    outcomes["refused"] += 1
                else:
                    outcomes["taken"] += 1
                    assert judged.found.taken or fuzz.ours
                    assert (answer.status, answer.body) == judged.found.taken
