"""Watches an event's seats for a change, with several looks under way."""

import asyncio
from typing import Final

import anyio
from anyio.abc import TaskGroup

from aws.errors import AwsError
from aws.table import Table
from schema.attributes import ItemError
from schema.items import Capacity

_APART_S: Final = 0.001
"""How long after each other the first looks begin."""
_MOMENT_S: Final = 0.05


class Watch:
    """Reads until the item has changed: a single look may be slow, or a moment too early."""

    def __init__(self, table: Table, event_id: str, seen: Capacity | None) -> None:
        self._table = table
        self._event_id = event_id
        self._seen = seen
        self._found: Capacity | AwsError | ItemError | None = None
        self._is_over = anyio.Event()

    async def change(self, looks: TaskGroup, count: int) -> Capacity | None:
        """The item once it differs from what was seen, or as it is after a moment.

        Raises what a look raises. The other looks end in `looks`, and are of no use any more.
        """
        until = asyncio.get_running_loop().time() + _MOMENT_S
        for number in range(count):
            looks.start_soon(self._look_on, number * _APART_S, until)
        await self._is_over.wait()
        if isinstance(self._found, Exception):
            raise self._found
        return self._found

    async def _look_on(self, after_s: float, until: float) -> None:
        await anyio.sleep(after_s)
        while not self._is_over.is_set():
            found: Capacity | AwsError | ItemError | None
            try:
                found = await self._table.capacity(self._event_id)
            except (AwsError, ItemError) as error:
                found = error
            is_late = asyncio.get_running_loop().time() >= until
            if not self._is_over.is_set() and (found != self._seen or is_late):
                self._found = found
                self._is_over.set()
