"""Keeps events that could not be published on a queue, as `participation lake republish` reads."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

import orjson
import structlog

from aws.bus import BusEntry
from aws.queue import OutgoingMessage, Queue
from config.limits import SQS_BATCH_BYTES, SQS_BATCH_ENTRIES
from runtime.batcher import Batcher, BatchLimits, ClosedError

_CONCURRENCY: Final = 4
KEEP_TIMEOUT_S: Final = 2.0
"""How long keeping lost events may delay an acknowledgement, beside PUBLISH_TIMEOUT_S."""

log = structlog.get_logger("publisher")


class LostEventError(ValueError):
    """A message on the queue of lost events that holds no event."""


@dataclass(frozen=True, slots=True)
class _Kept:
    message: OutgoingMessage
    deadline_s: float


class LostEvents:
    """The queue of lost events; to keep them never raises, and is bounded in time."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._batcher: Batcher[_Kept, str] = Batcher(
            self._send,
            BatchLimits(
                max_items=SQS_BATCH_ENTRIES,
                max_bytes=SQS_BATCH_BYTES,
                concurrency=_CONCURRENCY,
            ),
            size_of=lambda kept: kept.message.size,
        )

    def running(self) -> AbstractAsyncContextManager[object]:
        """Keep events while the block lasts."""
        return self._batcher

    async def keep(self, entries: Sequence[BusEntry]) -> int:
        """Put events on the queue; returns how many SQS confirmed within KEEP_TIMEOUT_S.

        The others may be there all the same.
        """
        deadline_s = asyncio.get_running_loop().time() + KEEP_TIMEOUT_S
        items = [_Kept(OutgoingMessage(encode(entry)), deadline_s) for entry in entries]
        results: Sequence[str | Exception]
        try:
            results = await self._batcher.submit_many(items)
        except ClosedError as error:
            results = [error] * len(items)
        errors = [result for result in results if isinstance(result, Exception)]
        if errors:
            log.warning("lost_events_not_kept", events=len(errors), error=str(errors[0]))
        return len(results) - len(errors)

    async def _send(self, batch: Sequence[_Kept]) -> Sequence[str | Exception]:
        # The first one's deadline binds: batches leave in the order of submission.
        async with asyncio.timeout_at(batch[0].deadline_s):
            return await self._queue.send([kept.message for kept in batch])


def encode(entry: BusEntry) -> str:
    """A message that holds a whole event."""
    return orjson.dumps(
        {
            "source": entry.source,
            "detailType": entry.detail_type,
            "time": entry.time_s,
            "detail": orjson.Fragment(entry.detail),
        }
    ).decode()


def decode(body: str) -> BusEntry:
    """The event of a message; raises LostEventError."""
    try:
        match orjson.loads(body):
            case {
                "source": str(source),
                "detailType": str(detail_type),
                "time": int(time_s),
                "detail": dict(detail),
            }:
                return BusEntry(source, detail_type, orjson.dumps(detail), time_s)
    except orjson.JSONDecodeError as error:
        raise LostEventError(f"no JSON: {error}") from None
    raise LostEventError("source, detailType, time or detail is missing, or of another type")
