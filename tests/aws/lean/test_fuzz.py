"""Spoilt answers in any segments: never a wrong answer, no hang, no lost slot."""

from random import Random

import anyio
import pytest
from botocore.exceptions import BotoCoreError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.aws.lean.service import OK, REQUEST, Visit, pool_to, serving
from tests.security import fuzz_answers as fuzz

WELL_FORMED = fuzz.Case([OK], fuzz.ours([OK]), fuzz.reference(OK))


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
async def test_over_sockets_every_call_ends_and_its_slot_comes_back(seed: int) -> None:
    random = Random(seed)
    spoilt = [fuzz.case(random) for _ in range(150)]
    # Behind each a well-formed one, which its call must get, and nothing of the one before it.
    plan = [one for judged in spoilt for one in (judged, WELL_FORMED)]
    requests = iter(plan)

    async def behave(visit: Visit) -> None:
        judged = WELL_FORMED
        while judged.found.taken:
            await visit.read()
            judged = next(requests)
            sent = 0
            for piece in judged.pieces:
                # What comes behind an answer may also be read with it, or under the next request.
                if not judged.found.taken or sent < judged.found.used:
                    await visit.stream.send(piece)
                sent += len(piece)

    refused = 0
    async with serving(behave) as server, pool_to(server.port, connections=1) as pool:
        with anyio.fail_after(60):
            for judged in plan:
                try:
                    answer = await pool.post(REQUEST)
                except BotoCoreError:
                    assert judged is not WELL_FORMED
                    refused += 1
                else:
                    assert judged.found.taken
                    assert (answer.status, answer.body) == judged.found.taken[::2]
    assert 0 < refused < len(spoilt)
