"""Waits for decisions: whoever waits reads again and again, together with all others who wait."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from math import ceil
from random import Random
from typing import Final

import anyio

from config.settings import IngestSettings
from runtime import backoff
from runtime.stop import Stop
from schema.items import RequestItem

MAX_WAIT_S: Final = 20
"""The longest wait that can be asked for; `openapi.json` says the same."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 1.6
"""Pauses between reads grow from the one to the other: most decisions come within a second."""
_EARLIER_S: Final = 0.000_4
"""uvloop's clock and timers count whole milliseconds, and anyio looks at a deadline whose timer
fired early again and again: one just before a whole millisecond never fires early."""
_READS_PER_S: Final = 2_000
"""Where more wait than can be read at this rate, all of them read more rarely."""


@dataclass(frozen=True, slots=True)
class Waited:
    """A request as it was last read, and whether it was not waited for as long as was asked."""

    request: RequestItem
    was_cut_short: bool


class Waits:
    """All who wait for a decision in this process, within bounds of their own.

    A wait holds a connection and little else. It ends with the decision, with its time, when the
    client sends nothing more, and when the service stops.
    """

    def __init__(
        self,
        read_again: Callable[[str], Awaitable[RequestItem | None]],
        settings: IngestSettings,
        stop: Stop,
        random: Random,
    ) -> None:
        self._read_again = read_again
        self._stop = stop
        self._random = random
        self._most = min(settings.max_waiting_requests, settings.max_connections // 2)
        self._most_of_user = settings.max_pending_per_user
        self._of_users: Counter[str] = Counter()
        self.count = 0
        """How many wait."""

    async def until_decided(
        self, request: RequestItem, wait_s: int, client_done: Callable[[], Awaitable[None]]
    ) -> Waited:
        """Wait for a request's decision; raises what reading it raises."""
        user = request.user_id
        if self.count >= self._most or self._of_users[user] >= self._most_of_user:
            return Waited(request, was_cut_short=True)
        self.count += 1
        self._of_users[user] += 1
        try:
            with self._stop.interrupts(), anyio.move_on_after(wait_s - _EARLIER_S):
                for attempt in count(1):
                    request = await self._read_again(request.request_id) or request
                    if request.status.is_final:
                        break
                    with anyio.move_on_after(self._pause_s(attempt)):
                        await client_done()
                        break
        finally:
            self.count -= 1
            self._of_users[user] -= 1
            if not self._of_users[user]:
                del self._of_users[user]
        is_stopping = self._stop.requested and not request.status.is_final
        return Waited(request, was_cut_short=is_stopping)

    def _pause_s(self, attempt: int) -> float:
        own_s = backoff.delay_s(attempt, _FIRST_PAUSE_S, _LONGEST_PAUSE_S, self._random)
        pause_ms = ceil(1000 * max(own_s, self.count / _READS_PER_S))
        return pause_ms / 1000 - _EARLIER_S
