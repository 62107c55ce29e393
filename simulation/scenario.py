"""What a run consists of, as values: who clicks, who works, what goes wrong, and when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PlainSerializer

from config.quotas import NO_LIMITS, Limits

Settings: TypeAlias = Mapping[str, str | int | float | bool]
"""A program's settings by field name; what is not named has its default."""


def _in_json(seconds: float) -> float | str:
    return "Infinity" if seconds == float("inf") else seconds


Until: TypeAlias = Annotated[float, PlainSerializer(_in_json, when_used="json")]
"""Seconds, or infinity, which JSON has no number for."""


class Service(StrEnum):
    """The services that the programs call, by the SDK's names."""

    SQS = "sqs"
    DYNAMODB = "dynamodb"
    EVENTS = "events"


class Kind(StrEnum):
    """How one call goes wrong."""

    REFUSED = "refused"
    """No connection: no effect."""
    THROTTLED = "throttled"
    """Too many calls, says the service: no effect."""
    FAILED = "failed"
    """An error of the service's own (5xx): no effect."""
    FAILED_AFTER = "failed-after"
    """An error of the service's own, though the call took effect."""
    REJECTED = "rejected"
    """The service finds fault with the call: no effect, and no repetition helps."""
    LOST = "lost"
    """The request never arrives; the caller waits until its time is up."""
    UNANSWERED = "unanswered"
    """The call takes effect, and the connection breaks before the answer."""
    LATE = "late"
    """The call takes effect after its caller has given up."""
    TWICE = "twice"
    """The call takes effect twice; the first answer counts."""
    ENTRIES = "entries"
    """Single entries of a batch fail in a call that succeeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Calls of one service that go wrong with a probability, for a while."""

    fault: Literal["noise"] = "noise"
    service: Service
    kind: Kind
    probability: float
    from_s: float = 0.0
    until_s: Until = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A service that fails every call for a while; for one node, or of one operation, where these
    are named."""

    fault: Literal["outage"] = "outage"
    service: Service
    from_s: float
    until_s: Until
    kind: Kind = Kind.FAILED
    node: str | None = None
    operation: str | None = None
    """By the service's name for it: reads may work while writes fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """The events' configurations break the contract, until an operator fixes them."""

    fault: Literal["defect"] = "defect"
    from_s: float
    until_s: Until


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A node that is gone between two of its steps, and may be replaced."""

    fault: Literal["kill"] = "kill"
    node: str
    at_s: float
    restart_after_s: float | None = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A node that gets SIGTERM, and may be replaced when it has ended."""

    fault: Literal["stop"] = "stop"
    node: str
    at_s: float
    restart_after_s: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A node whose process stands still for a while, and then runs on."""

    fault: Literal["pause"] = "pause"
    node: str
    at_s: float
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """A node whose clock is wrong from some time on."""

    fault: Literal["skew"] = "skew"
    node: str
    offset_ms: int
    at_s: float = 0.0


Fault: TypeAlias = Annotated[
    Noise | Outage | Defect | Kill | Stop | Pause | Skew, Field(discriminator="fault")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPlan:
    """An event that people click on."""

    event_id: str
    seats: int
    event_type: str = "FIRST_COME"
    share: float = 1.0
    """How many of the clicks are for this event, in proportion to the others' shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Clicks: how many a second, for how long, and how people behave."""

    rate: float
    seconds: float
    impatience: float = 0.0
    """The share of people who click a second time within a second."""
    most_clicks: int | None = None
    """After this many people nobody comes any more."""
    retries: int = 8
    """How often a click that is not accepted is made again."""
    foreign: float = 0.0
    """How many messages other producers put into the queue for each click: broken bodies, and
    requests that nobody stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Median round trips of calls in seconds, and how far single ones stray from them."""

    sqs_s: float = 0.008
    dynamodb_s: float = 0.006
    events_s: float = 0.020
    transaction_s: float = 0.012
    """How long a transaction holds its items."""
    sigma: float = 0.4
    """Of the logarithm: 0.4 makes one call in a hundred 2.5 times as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run, to the last random number."""

    name: str
    seed: int
    events: tuple[EventPlan, ...]
    load: Load
    workers: int = 1
    ingests: int = 1
    worker_settings: Settings = field(default_factory=dict)
    ingest_settings: Settings = field(default_factory=dict)
    limits: Limits = NO_LIMITS
    region: str = "us-east-1"
    latencies: Latencies = field(default_factory=Latencies)
    faults: tuple[Fault, ...] = ()
    max_receive_count: int = 5
    duplicate_delivery: float = 0.0
    """The share of messages that SQS hands out a second time without need."""
    unordered: bool = False
    """Whether SQS hands out messages in any order."""
    settles_in_s: float = 120.0
    """Once the clicks and the faults are over, all must be finished within this time."""

    @property
    def faults_end_s(self) -> float:
        """When the last fault that ends is over, in seconds from the start."""
        ends = [end for fault in self.faults if (end := _end_of(fault)) != float("inf")]
        return max(ends, default=0.0)

    @property
    def is_quiet(self) -> bool:
        """Whether every fault ends: all must then be finished in the end."""
        return all(_end_of(fault) != float("inf") for fault in self.faults)


def _end_of(fault: Fault) -> float:
    match fault:
        case Noise() | Outage() | Defect():
            return fault.until_s
        case Kill() | Stop():
            return fault.at_s + (fault.restart_after_s or 0.0)
        case Pause():
            return fault.at_s + fault.for_s
        case Skew():
            return fault.at_s
