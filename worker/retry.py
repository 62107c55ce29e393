"""Decides a batch whatever gets in the way: round after round, by halves, and when to give up."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

import anyio
import structlog

from aws.errors import Fatal, Rejected, Transient
from runtime import backoff
from runtime.errors import leaves
from worker import decide
from worker.commit import Committer
from worker.decide import Candidate, Step
from worker.results import OTHERS_FAULT, BatchResult, Retry, Undecided

MAX_ROUNDS: Final = 6
"""Tries to decide a request here that fail for what may be its own reason, before it goes back."""
_BACKOFF_BASE_S: Final = 0.05
_BACKOFF_MAX_S: Final = 1.0

log = structlog.get_logger("commit")


async def decide_batch(
    committer: Committer, batch: Sequence[Candidate], started_at_ms: int
) -> AsyncIterator[BatchResult]:
    """Decide every candidate, or say why it must be tried later; raises Fatal only.

    Results come as soon as they are certain: who is decided does not wait for who is not. Tries
    that fail because the table is away, or busy with others, do not count: no message goes back
    for them until a stop is requested (domain §6).
    """
    rounds = waits = 0
    candidates = batch
    while candidates:
        result = BatchResult()
        async for part in _attempt(committer, candidates, started_at_ms):
            if part.young:
                yield part
            else:
                result += part
        again = [u for u in result.undecided if u.retry is not Retry.NEVER]
        rounds += any(u.retry not in OTHERS_FAULT for u in again)
        tired = rounds >= MAX_ROUNDS
        stays = [
            u for u in again if not (committer.stop.requested if u.retry in OTHERS_FAULT else tired)
        ]
        staying = set(map(id, stays))
        ended = replace(result, undecided=[u for u in result.undecided if id(u) not in staying])
        yield await _give_up(committer, ended, started_at_ms)
        candidates = [undecided.candidate for undecided in stays]
        if any(u.retry is Retry.AFTER_OUTAGE for u in stays):
            await committer.outage.until_next_try()
        elif any(u.retry is not Retry.IMMEDIATELY for u in stays):
            waits += 1
            await anyio.sleep(
                backoff.full_delay_s(waits, _BACKOFF_BASE_S, _BACKOFF_MAX_S, committer.random)
            )
    committer.outage.given_up()


async def _attempt(
    committer: Committer, batch: Sequence[Candidate], started_at_ms: int
) -> AsyncIterator[BatchResult]:
    """Try once; candidates that fail together for an unforeseen reason are tried by halves.

    One that AWS or our code can't take does not drag its neighbours along.
    """
    left = batch
    try:
        async for result in committer.attempt(batch, started_at_ms):
            if result.young:
                left = [candidate for candidate in left if candidate not in result.young]
            yield result
    except Exception as error:
        for cause in leaves(error):
            if isinstance(cause, Fatal):
                raise cause from None
        if len(left) == 1:
            log.exception("decision_failed", request_id=left[0].request_id)
            yield BatchResult(undecided=[Undecided(left[0], str(error))])
            return
    else:
        return
    middle = len(left) // 2
    for half in (left[:middle], left[middle:]):
        async for result in _attempt(committer, half, started_at_ms):
            yield result


async def _give_up(committer: Committer, result: BatchResult, started_at_ms: int) -> BatchResult:
    """Leave undecided what can go back; from the DLQ there is no way back (domain §6)."""
    last_tries = [
        u
        for u in result.undecided
        if u.candidate.deliveries[0].from_dlq and u.retry not in OTHERS_FAULT
    ]
    if not last_tries:
        return result
    others = [u for u in result.undecided if u not in last_tries]
    failed = await _fail_for_good(committer, last_tries, started_at_ms)
    return replace(result, undecided=others) + failed


async def _fail_for_good(
    committer: Committer, last_tries: Sequence[Undecided], started_at_ms: int
) -> BatchResult:
    try:
        loaded = await committer.load([undecided.candidate for undecided in last_tries])
    except (Transient, Rejected) as error:
        return BatchResult(undecided=[replace(u, reason=str(error)) for u in last_tries])
    reading = committer.reading(started_at_ms)
    steps: list[Step] = []
    left: list[Undecided] = []
    for undecided in last_tries:
        candidate = undecided.candidate
        item = loaded.requests.get(candidate.request_id)
        if item is None or item.status.is_final:
            left.append(undecided)
        else:
            steps.append(
                decide.failed_for_good(
                    candidate, item, reading, "RETRIES_EXHAUSTED", undecided.reason
                )
            )
    try:
        return BatchResult(undecided=left) + await committer.write(steps)
    except Rejected as error:
        unwritten = [Undecided(step.candidate, str(error)) for step in steps]
        return BatchResult(undecided=[*left, *unwritten])
