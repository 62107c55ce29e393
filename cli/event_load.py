"""The options that describe an event's load, and what it needs."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from schema.items import MAX_SEATS

if TYPE_CHECKING:
    from operations.needs import Needs

_MOST_RATE: Final = 1_000_000
_MOST_SECONDS: Final = 86_400

Rate = Annotated[
    float,
    typer.Option(min=1, max=_MOST_RATE, metavar="CLICKS/S", help="clicks a second at the peak"),
]
Seconds = Annotated[
    float, typer.Option(min=1, max=_MOST_SECONDS, metavar="S", help="how long they last, in s")
]
Seats = Annotated[int, typer.Option(min=0, max=MAX_SEATS, metavar="N", help="seats of the event")]


def needs_of(rate: float, seconds: float, seats: int) -> "Needs":
    """What `participation plan` says that such an event needs."""
    from operations.capacity import EventLoad, needs

    return needs(EventLoad(rate=rate, seconds=seconds, seats=seats))
