"""Requests of which each must get one answer, and after it the end of its connection."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.security.attack import Findings
from tests.security.client import Target, ask, counted

REFUSED: Final = frozenset({"400", "401", "404", "405"})
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One request, in segments, and the statuses of which its only answer has one."""

    name: str
    segments: Sequence[bytes]
    expected: frozenset[str] = REFUSED
    may_be_cut: bool = False
    """Whether a reset may take the answer's place, since more is sent than anybody reads."""


async def each_is_answered_once(target: Target, cases: Sequence[Case]) -> Findings:
    """Send each on a connection of its own; a second answer would be to what was smuggled in."""
    room = asyncio.Semaphore(min(100, target.connections // 4))

    async def one(case: Case) -> tuple[list[str], str | None]:
        async with room:
            heard = await ask(target, *case.segments, seconds=target.patience_s)
        # Not by lengths: the answer to HEAD has no body, and a wrong length is an attack, too.
        statuses = [status.decode() for status in _STATUS.findall(heard.data)]
        is_cut = case.may_be_cut and not heard.data
        is_right = is_cut or (len(statuses) == 1 and statuses[0] in case.expected)
        if is_right and heard.has_ended:
            return statuses, None
        state = "" if heard.has_ended else ", left open"
        return statuses, f"{case.name}: {', '.join(statuses) or 'no answer'}{state}"

    found = await asyncio.gather(*map(one, cases))
    return Findings(
        f"{len(cases)} requests",
        counted(status for statuses, _ in found for status in statuses),
        shortened([fault for _, fault in found if fault is not None]),
    )


def shortened(faults: Sequence[str]) -> Sequence[str]:
    """The first faults, and how many more there are."""
    if len(faults) <= _SHOWN:
        return faults
    return [*faults[:_SHOWN], f"{len(faults) - _SHOWN} more like that"]
