"""Whose turn it is to sell an event's seats: one worker's at a time, by the capacity item."""

import asyncio
import operator
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup

from aws.errors import AwsError, Rejected, Transient
from aws.statements import Mark
from config.limits import SEATS_PER_TRANSACTION, SQS_BATCH_ENTRIES
from runtime.errors import unwrapped
from schema.attributes import ItemError
from schema.items import Capacity
from worker import line
from worker.line import Place
from worker.parts import Parts
from worker.watch import Watch

_LOOKS_OF_NEXT: Final = 4
_LOOKS_OF_ALL: Final = 100
"""So many looks the first in line has under way, so that it begins as soon as it may; fewer in a
line of more than 25, whose item takes more units to read."""
_REST_S: Final = 0.006
"""The first in line leaves the table alone so long after a commit: the next takes longer."""
_SECOND_LOOKS_AFTER_S: Final = 0.001
_LOOKS_AFTER_S: Final = 0.01
"""How long the second in line waits between looks, and the others for each before them."""
_LOOK_MAX_S: Final = 0.5
_LOOK_SHARE: Final = 10
"""Nobody looks more often than ten times in the time in which nothing has changed."""
_LOOK_WITHIN_S: Final = 0.1
"""A look beside a transaction holds it up no longer."""
_THROTTLED_S: Final = 0.2
"""How long to wait, on average, where the table has no units for a look."""
_PASS_TRIES: Final = 3
_IDLE_S: Final = 1.0
"""A seller whose mark has stood still for so long is gone: it renews it with each transaction."""
_PATIENCE_S: Final = 5.0
"""Whoever has waited so long for one seller sells without a turn."""
_LONGEST_S: Final = 1.0
_ROUND_S: Final = 4.0
"""How long a turn lasts while others wait, and how long the turns of all together."""
_WORKER_HOLDS: Final = 1_000
"""So many requests a worker may have at hand: with fewer seats, their order matters."""
_SCARCE_AT_MOST: Final = 24_000
"""The last so many seats go in order, however many workers there are: who loses is decided then."""
_SHOWN_BEFORE: Final = 20_000
"""So many seats earlier each shows in its place what is needed then: they last a round of turns."""
_ALL_SHOW: Final = 3_000
_SHOWS_AT_LEAST: Final = 4
"""How many requests all workers in line show together, so that the item stays at a few kB: the
reads of all who wait are those of one partition."""
_SETTLES_S: Final = 0.06
"""How long a burst waits for what other workers are about to receive, where it matters."""
_BURST: Final = SQS_BATCH_ENTRIES
_BURST_OF_SEATS: Final = 4
"""A burst is more than one receive brings, and a good part of the seats that are left."""
_LOOKED_AFTER_SEATS: Final = 10_000
"""With fewer seats left even a lone seller looks with each transaction who else has come."""

log = structlog.get_logger("seats")


class Turn:
    """Keeps transactions of several workers on one event apart, and the last seats in order.

    Transactions that overlap cancel each other, and each that is cancelled costs as much as one
    that is not. A turn is advice: safety rests on the conditions of the transaction alone, so that
    no clock is compared and nothing is lost where a turn is held by two or by nobody.
    """

    def __init__(self, parts: Parts, event_id: str) -> None:
        self._parts = parts
        self._event_id = event_id
        self._name = f"{parts.random.getrandbits(64):016x}"
        self._held_since: float | None = None
        self._shown: Place = ()
        """What the others see of this worker; nothing while it is not in line."""
        self._was_in_conflict = False
        self._was_throttled = False
        self._others: Mapping[str, Place] = {}
        """The others in line, as they were seen last."""
        self._seats_left = 0
        """So many there were then."""

    @property
    def is_held(self) -> bool:
        """Whether this worker has it, as far as it knows."""
        return self._held_since is not None

    def share(self, mine: Place, seats_left: int) -> int:
        """How many of its oldest this worker may sell now; `mine` is what it shows of them."""
        if not self.is_held or not self._is_scarce(seats_left):
            return len(mine)
        return line.share(mine, self._others.values(), seats_left)

    def is_hasty(self, mine: Place, seats_left: int, busy_since: float) -> bool:
        """Whether it would sell so much so early that others had no time to stand in line."""
        if not self.is_held or len(mine) < max(_BURST, seats_left / _BURST_OF_SEATS):
            return False
        return asyncio.get_running_loop().time() < busy_since + _SETTLES_S

    async def settle(self, busy_since: float) -> None:
        """Wait until others had that time, and see who is there."""
        now = asyncio.get_running_loop().time()
        await anyio.sleep(busy_since + _SETTLES_S - now)
        await self.look()

    def mark(self, mine: Place, seats_left: int, full: int) -> Mark | None:
        """What the next transaction writes, if it leaves so much; None without a turn.

        `full`: how many more transactions are filled by what is left.
        """
        if not seats_left:
            # Turn or no turn: nobody sells any more.
            return Mark(name=self._name, seller=None, gone=sorted(self._others))
        if not self.is_held:
            return None
        if mine and self._goes_on(mine, seats_left, full):
            return Mark(name=self._name, seller=self._name)
        return self._passing(mine, seats_left)

    def marked(self, mark: Mark | None) -> None:
        """Take note that a transaction has written a mark."""
        if mark is not None and mark.seller != self._name:
            self._passed(mark)

    def lost(self) -> None:
        """Take note that another worker sells, turn or no turn."""
        self._held_since = None

    def is_look_due(self, seats_left: int, full: int) -> bool:
        """Whether it matters who has come: for the order of the last seats, or as the turn ends."""
        if not self.is_held:
            return False
        ends = full == 1 or self._is_over
        return ends or seats_left <= _LOOKED_AFTER_SEATS or self._is_scarce(seats_left)

    async def look(self) -> None:
        """See who is in line; the turn begins anew where nobody is."""
        capacity = None
        with anyio.move_on_after(_LOOK_WITHIN_S):
            capacity = await self._read()
        if capacity is not None and self.is_held:
            self._see(capacity)
            if not self._others:
                self._held_since = asyncio.get_running_loop().time()

    async def release(self, mine: Place = (), seats_left: int | None = None) -> None:
        """Pass the turn on without a transaction; whoever waits finds out in time if this fails."""
        table, is_held = self._parts.table, self.is_held
        if not is_held and not self._shown:
            return
        mark = self._passing(mine, seats_left)
        self._passed(mark)
        for attempt in range(1, _PASS_TRIES + 1):
            try:
                if is_held:
                    await table.pass_turn(self._event_id, self._parts.clock(), mark)
                else:
                    await table.leave_line(self._event_id, self._name)
            except (Transient, Rejected) as error:
                log.debug("turn_not_passed", event_id=self._event_id, error=str(error))
                is_busy = isinstance(error, Transient) and error.is_busy
                if not is_busy or attempt == _PASS_TRIES:
                    return
                await anyio.sleep(self._parts.random.random() * attempt * _LOOK_WITHIN_S)
            else:
                return

    @asynccontextmanager
    async def taken(self, mine: Callable[[], Place]) -> AsyncIterator[Capacity | None]:
        """Wait for the turn; gives the capacity if it was read meanwhile, sold out or not.

        Looks that are still under way do not hold up what is sold.
        """
        with unwrapped():
            async with anyio.create_task_group() as looks:
                yield await self._take(mine, looks)
                looks.cancel_scope.cancel()

    async def _take(self, mine: Callable[[], Place], looks: TaskGroup) -> Capacity | None:
        """Wait for the turn.

        Returns without the turn where no seat is left, where the table does not answer, and when
        patience ends. A table without units for a look is waited for: others sell with what it has.
        """
        loop = asyncio.get_running_loop()
        began = seen_at = loop.time()
        seen: Capacity | None = None
        while True:
            idle = seen if loop.time() - seen_at >= _IDLE_S else None
            capacity = await self._look(seen, idle, mine, looks)
            now = loop.time()
            is_over = now - began > _PATIENCE_S or self._parts.stop.requested
            if capacity is None and self._was_throttled and not is_over:
                await anyio.sleep(_THROTTLED_S * (0.5 + self._parts.random.random()))
                continue
            if capacity is None or self.is_held or capacity.remaining <= 0:
                return capacity
            if seen is None or seen.seller != capacity.seller:
                began = seen_at = now
            elif seen.updated_at_ms != capacity.updated_at_ms:
                seen_at = now
            seen = capacity
            if is_over:
                return capacity
            wait_s = self._wait_s(mine(), has_sold=seen_at == now)
            await anyio.sleep(max(wait_s, (now - seen_at) / _LOOK_SHARE))

    async def _look(
        self,
        seen: Capacity | None,
        idle: Capacity | None,
        mine: Callable[[], Place],
        looks: TaskGroup,
    ) -> Capacity | None:
        """Try to take the turn, or a place in line; read while it has one, which writes nothing."""
        table, event_id = self._parts.table, self._event_id
        is_taken = bool(self._shown) if seen is None else seen.seller is not None
        has_place = self._is_shown(mine())
        self._was_throttled = False
        try:
            if idle is None and has_place and is_taken and self._before():
                capacity = await table.capacity(event_id)
            elif idle is None and has_place and is_taken:
                count = max(1, min(_LOOKS_OF_NEXT, _LOOKS_OF_ALL // (len(self._others) + 1)))
                capacity = await Watch(table, event_id, seen).change(looks, count)
            elif idle is None and (is_taken or self._was_in_conflict) and not has_place:
                place = self._place(mine(), None if seen is None else seen.remaining)
                capacity = await table.line_up(event_id, self._name, line.text(place))
            else:
                at_ms = self._parts.clock()
                capacity = await table.take_turn(event_id, self._name, at_ms, idle)
            self._was_in_conflict = False
        except Transient as error:
            self._was_throttled = error.is_throttle
            if not error.is_conflict:
                return None
            # Somebody's transaction is under way.
            self._was_in_conflict = True
            capacity = await self._read()
        except Rejected:
            return None
        if capacity is not None:
            self._see(capacity)
            if capacity.seller == self._name:
                self._held_since = asyncio.get_running_loop().time()
        return capacity

    def _is_shown(self, mine: Place) -> bool:
        """Whether it is in line, and has received nothing older than some of what it shows there.

        Of many seats, the place itself is enough.
        """
        if not self._shown or not self._is_scarce(self._seats_left):
            return bool(self._shown)
        return not any(map(operator.lt, mine, self._shown))

    def _before(self) -> int:
        """How many stand before this worker in line, as far as it knows."""
        return self._order(self._shown, self._seats_left).index(self._name)

    def _order(self, mine: Place, seats_left: int) -> Sequence[str]:
        """The line with such a place of its own; without one, the others."""
        own = {self._name: mine} if mine else {}
        return line.order({**self._others, **own}, seats_left)

    def _wait_s(self, mine: Place, *, has_sold: bool) -> float:
        """Until the next look; `has_sold`: whether the last one found a commit."""
        wait_s = _SECOND_LOOKS_AFTER_S
        if self._is_shown(mine):
            before = self._before()
            if before:
                wait_s = max(wait_s, min((before - 1) * _LOOKS_AFTER_S, _LOOK_MAX_S))
            else:
                wait_s = _REST_S if has_sold else 0.0
        return wait_s * (0.5 + self._parts.random.random() / 2)

    def _goes_on(self, mine: Place, seats_left: int, full: int) -> bool:
        """Whether to keep the turn for what is left."""
        if not self._others:
            return True
        if self._is_scarce(seats_left):
            share, place = self.share(mine, seats_left), self._place(mine, seats_left)
            return share >= SEATS_PER_TRANSACTION or (
                share > 0 and self._order(place, seats_left)[0] == self._name
            )
        return full > 0 and not self._is_over

    def _place(self, mine: Place, seats_left: int | None) -> Place:
        """What the others are shown: where order will not matter soon, the oldest request alone."""
        matters = seats_left is None or self._is_scarce(seats_left - _SHOWN_BEFORE)
        most = max(_SHOWS_AT_LEAST, _ALL_SHOW // (len(self._others) + 1)) if matters else 1
        return mine[:most]

    def _passing(self, mine: Place, seats_left: int | None) -> Mark:
        left = self._seats_left if seats_left is None else seats_left
        place = self._place(mine, left) if mine else ()
        others = (name for name in self._order(place, left) if name != self._name)
        text = line.text(place) if place else None
        return Mark(name=self._name, seller=next(others, None), place=text)

    def _is_scarce(self, seats_left: int) -> bool:
        return seats_left <= min(_SCARCE_AT_MOST, _WORKER_HOLDS * (len(self._others) + 1))

    @property
    def _is_over(self) -> bool:
        """Whether others should have their turn, if there are any."""
        longest_s = min(_LONGEST_S, _ROUND_S / (len(self._others) + 1))
        return asyncio.get_running_loop().time() - (self._held_since or 0.0) >= longest_s

    def _passed(self, mark: Mark) -> None:
        """The turn is another's, or nobody's; this worker may have a place in line."""
        self._held_since = None
        places = {} if mark.place is None else {self._name: mark.place}
        self._shown = line.parsed(places).get(self._name, ())

    def _see(self, capacity: Capacity) -> None:
        """Take note of who is in line."""
        places = line.parsed(capacity.line)
        self._shown = places.pop(self._name, ())
        self._others, self._seats_left = places, capacity.remaining

    async def _read(self) -> Capacity | None:
        try:
            return await self._parts.table.capacity(self._event_id)
        except (AwsError, ItemError):
            # What must end the worker, the transaction meets as well.
            return None
