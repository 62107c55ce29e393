"""Decides a batch whatever gets in the way: round after round, by halves, and when to give up."""

from collections.abc import Sequence
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
from worker.results import BatchResult, Retry, Undecided

MAX_ROUNDS: Final = 6
"""Tries to decide a batch here, before what is left goes back to the queue."""
_BACKOFF_BASE_S: Final = 0.05
_BACKOFF_MAX_S: Final = 1.0

log = structlog.get_logger("commit")


async def decide_batch(
    committer: Committer, batch: Sequence[Candidate], started_at_ms: int
) -> BatchResult:
    """Decide every candidate, or say why it must be tried later; raises Fatal only.

    Candidates that fail together for an unforeseen reason are tried by halves, so that one that
    AWS or our code can't take does not drag its neighbours along.
    """
    try:
        return await _in_rounds(committer, batch, started_at_ms)
    except Exception as error:
        for cause in leaves(error):
            if isinstance(cause, Fatal):
                raise cause from None
        if len(batch) == 1:
            log.exception("decision_failed", request_id=batch[0].request_id)
            failed = BatchResult(undecided=[Undecided(batch[0], str(error))])
            return await _give_up(committer, failed, started_at_ms)
    middle = len(batch) // 2
    first_half = await decide_batch(committer, batch[:middle], started_at_ms)
    return first_half + await decide_batch(committer, batch[middle:], started_at_ms)


async def _in_rounds(
    committer: Committer, batch: Sequence[Candidate], started_at_ms: int
) -> BatchResult:
    """Attempt again to decide what another writer, or a busy table, blocked."""
    result = await committer.attempt(batch, started_at_ms)
    for attempt in range(1, MAX_ROUNDS):
        again = [u for u in result.undecided if u.retry is not Retry.NEVER]
        if not again:
            break
        if any(undecided.retry is Retry.AFTER_BACKOFF for undecided in again):
            await anyio.sleep(
                backoff.delay_s(attempt, _BACKOFF_BASE_S, _BACKOFF_MAX_S, committer.random)
            )
        hopeless = [u for u in result.undecided if u.retry is Retry.NEVER]
        found = await committer.attempt([u.candidate for u in again], started_at_ms)
        result = replace(result, undecided=hopeless) + found
    return await _give_up(committer, result, started_at_ms)


async def _give_up(committer: Committer, result: BatchResult, started_at_ms: int) -> BatchResult:
    """Leave undecided what can go back; from the DLQ there is no way back (domain §6)."""
    last_tries = [u for u in result.undecided if u.candidate.deliveries[0].from_dlq]
    if not last_tries:
        return result
    others = [u for u in result.undecided if not u.candidate.deliveries[0].from_dlq]
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
