"""What the service needs of AWS, behind one interface; the implementation is handed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from schema.events import ParticipationRequested
from schema.items import Capacity, EventConfig, RequestItem
from schema.message import ParticipationMessage
from schema.values import value


class Unavailable(Exception):
    """A service behind this one does not answer now: the caller should come back later."""

    def __init__(self, step: str, cause: str) -> None:
        super().__init__(f"{step}: {cause}")
        self.step = step
        self.cause = cause


class CorruptItem(Exception):
    """A stored item breaks the contract, and an operator must fix it."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it is stored."""

    config: EventConfig
    capacity: Capacity | None = None


class Progress(Enum):
    """How far a new request is known to have come."""

    NEW = auto()
    """It may not be stored."""
    EXISTS = auto()
    """It was stored before."""
    STORED = auto()
    """It is stored; the queue may not have it."""
    SENT = auto()
    """The queue has it; that may not be recorded."""
    QUEUED = auto()
    """The queue has it, and that is recorded."""
    OVERTAKEN = auto()
    """The queue has it, and somebody else recorded that, or has decided."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A first try that failed."""

    error: Exception
    since_s: float
    """When it began, by the event loop's clock."""


@value(frozen=True, slots=True)
class Advance:
    """How far a request came with one try of each step."""

    progress: Progress
    failure: Failure | None = None
    """Why it came no further, if something failed."""
    queued_at_ms: int | None = None
    """What was recorded, where it is QUEUED."""


@value(frozen=True, slots=True)
class Insertion:
    """What became of a conditional insert."""

    is_new: bool
    was_retried: bool = False
    """An earlier try may have taken effect unseen: an item found there may be this one."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a user's list: the queuedAt and the request id of the last request seen."""

    queued_at_ms: int
    request_id: str


@dataclass(frozen=True, slots=True)
class RequestPage:
    """Some of a user's requests, newest first, and where the next page starts."""

    requests: Sequence[RequestItem]
    next: Position | None = None


class Gateway(Protocol):
    """Table, queue and bus; every operation but `publish` may raise Unavailable."""

    async def load_event(self, event_id: str) -> Event | None:
        """Read an event; None where there is no such event."""
        ...

    async def load_request(self, request_id: str) -> RequestItem | None:
        """Read a request, strongly consistently; None where there is no such request."""
        ...

    async def load_request_again(self, request_id: str) -> RequestItem | None:
        """As `load_request`, and in no hurry: with all others that are read again."""
        ...

    async def advance(self, request: RequestItem) -> Advance:
        """Take a new request through insert, send and mark, with others' and trying each once.

        Raises nothing. What is left to do, the operations below do, for one request and repeatedly.
        """
        ...

    async def insert(self, request: RequestItem, failed: Failure | None = None) -> Insertion:
        """Store a new request on condition that it does not exist.

        `failed` is a try that has been made; likewise below.
        """
        ...

    async def send(self, message: ParticipationMessage, failed: Failure | None = None) -> None:
        """Hand a message to the queue."""
        ...

    async def mark_queued(
        self, request: RequestItem, queued_at_ms: int, failed: Failure | None = None
    ) -> bool:
        """Write a request's step to QUEUED; False where it has left RECEIVED already.

        Whatever keeps it from being written is Unavailable.
        """
        ...

    async def user_requests(self, user_id: str, limit: int, after: Position | None) -> RequestPage:
        """One page of a user's requests by one index query, newest first."""
        ...

    def publish(self, event: ParticipationRequested) -> None:
        """Have an event published, without waiting for it and without ever failing."""
        ...
