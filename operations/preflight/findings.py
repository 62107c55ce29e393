"""What a check found, in red, yellow or green."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Colour(StrEnum):
    """How bad it is."""

    GREEN = "green"
    YELLOW = "yellow"
    """Not known, or nobody waits for it: look at it."""
    RED = "red"
    """The event would suffer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a preflight."""

    check: str
    """What was looked at; a stable name, in words: `put events quota`."""
    colour: Colour
    found: str
    needed: str = ""
    change: str = ""
    """The command that changes it, or what else to do; empty where nothing is to be done."""


def compared(
    check: str,
    has: float,
    needs: float,
    unit: str,
    change: str,
    *,
    short: Colour = Colour.RED,
    remark: str = "",
) -> Finding:
    """What is enough is green; what is not comes with the command that changes it."""
    is_enough = has >= needs
    return Finding(
        check=check,
        colour=Colour.GREEN if is_enough else short,
        found=f"{has:,.0f} {unit}{remark}",
        needed=f"{needs:,.0f} {unit}",
        change="" if is_enough else change,
    )


def worst(findings: Iterable[Finding]) -> Colour:
    """The worst colour; green where there is nothing to find."""
    order: Sequence[Colour] = list(Colour)
    return max((finding.colour for finding in findings), key=order.index, default=Colour.GREEN)
