"""A bus in memory: notes what it is given, and answers as a test says."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import orjson

from aws.bus import Bus, BusEntry
from tests.aws.scripted import ScriptedClient

Putting = Callable[[Sequence[BusEntry]], Awaitable[list[Exception | None]]]


class FakeBus(Bus):
    """Accepts every event unless `answer` answers otherwise."""

    def __init__(self, answer: Putting | None = None, journal: list[str] | None = None) -> None:
        super().__init__(ScriptedClient(), "bus")
        self.answer = answer
        self.journal: list[str] = [] if journal is None else journal
        """What happened, in order; may be shared with other stand-ins."""
        self.calls: list[list[str]] = []
        """The requests of each call, whatever its answer."""
        self.accepted: list[BusEntry] = []
        self.checks: list[Exception | None] = []
        """Results of the next checks; after them, the bus exists."""

    @property
    def details(self) -> list[dict[str, Any]]:
        """The details of the accepted events."""
        return [orjson.loads(entry.detail) for entry in self.accepted]

    @property
    def types(self) -> list[str]:
        """The types of the accepted events."""
        return [entry.detail_type for entry in self.accepted]

    async def put(self, entries: Sequence[BusEntry]) -> list[Exception | None]:
        """Note events, and answer."""
        self.calls.append([orjson.loads(entry.detail)["requestId"] for entry in entries])
        results: list[Exception | None] = [None] * len(entries)
        if self.answer is not None:
            results = await self.answer(entries)
        for entry, request_id, error in zip(entries, self.calls[-1], results, strict=False):
            if error is None:
                self.accepted.append(entry)
                self.journal.append(f"publish {request_id}")
        return results

    async def check(self) -> None:
        """Give the next check's result."""
        result = self.checks.pop(0) if self.checks else None
        if result is not None:
            raise result


def raising(error: Exception) -> Putting:
    """Fail every call."""

    async def answer(_entries: Sequence[BusEntry]) -> list[Exception | None]:
        raise error

    return answer


async def hanging(_entries: Sequence[BusEntry]) -> list[Exception | None]:
    """Never answer."""
    await anyio.sleep_forever()
    raise AssertionError
