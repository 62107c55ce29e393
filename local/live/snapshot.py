"""What the page shows at one moment, and the sentence that explains it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SERVICES: Final = {"dynamodb": "DynamoDB", "sqs": "SQS"}


class Tone(StrEnum):
    """How a sentence is coloured."""

    CALM = "calm"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Status:
    """What happens now: a title of a few words, and what it means."""

    tone: Tone
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that a spectator wants to have seen."""

    number: int
    """Counts from 1; the page knows by it which are new."""
    at_ms: int
    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One request's decision, as its analytics event reports it."""

    at_ms: int
    request_id: str
    result: str
    queue_ms: int
    """From queueing to the start of work."""
    e2e_ms: int
    """From queueing to the decision."""


@dataclass(frozen=True, slots=True)
class Check:
    """One statement about the event, and whether it holds."""

    name: str
    holds: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in force."""

    name: str
    ends_at_ms: int


@dataclass(frozen=True, slots=True)
class Burst:
    """A burst under way."""

    answered: int
    clicks: int


@dataclass(frozen=True, slots=True)
class Delays:
    """Percentiles of the latest decisions, in milliseconds."""

    count: int
    queue_p50_ms: int
    queue_p95_ms: int
    e2e_p50_ms: int
    e2e_p95_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All figures of the page; the event's unless they say otherwise."""

    at_ms: int
    event_id: str
    seats: int
    seats_left: int
    is_closed: bool
    clicks_accepted: int
    """Answers 202 since the event began, repeated clicks included."""
    clicks_refused: int
    """Other answers to clicks since then."""
    succeeded: int
    rejected: int
    failed: int
    unpublished: int
    """Decisions whose analytics event was lost, of all events since the start."""
    waiting: int
    """Messages in the queue."""
    held: int
    """Messages that a worker has received and not deleted."""
    hidden_at_most_s: int
    """How long after a worker's end what it held stays hidden."""
    dlq: int
    kept: int
    """Lost events on their queue, to be published again."""
    delays: Delays | None
    calls_a_message: float | None
    """The worker's AWS calls while it settled messages."""
    worker_is_running: bool
    worker_starts: int
    paused: tuple[str, ...]
    """Services for which the worker waits."""
    away: tuple[str, ...]
    """Services without which ingest refuses clicks."""
    pauses: int
    paused_s: float
    lake_files: int
    lake_events: int
    lake_bytes: int
    faults: tuple[Fault, ...]
    burst: Burst | None
    is_checking: bool
    checks: tuple[Check, ...]
    latest: tuple[Decision, ...]
    """The youngest first."""
    happenings: tuple[Happening, ...]
    course: tuple[tuple[int, int, int], ...]
    """Clicks, decisions, and messages in queue and worker, second by second to now."""

    @property
    def undecided(self) -> int:
        """Messages that are not settled."""
        return self.waiting + self.held


def status(now: Snapshot) -> Status:
    """Explain what is seen; what a spectator could mistake for a loss comes first."""
    return _trouble(now) or _course(now)


def _trouble(now: Snapshot) -> Status | None:
    waiting = _waiting(now.undecided)
    if not now.worker_is_running:
        return Status(
            Tone.BAD,
            "The worker is gone",
            f"{waiting}; those that it held, {now.held:,}, come back within "
            f"{now.hidden_at_most_s} s. It is started again, as ECS would.",
        )
    if now.paused:
        return Status(
            Tone.WARN,
            f"Paused: {_silent(now.paused)}",
            f"{waiting}. The worker receives nothing meanwhile, so that waiting uses up none of "
            "a message's receives. Ingest answers clicks with 503 and when to try again.",
        )
    if now.away:
        return Status(
            Tone.WARN,
            f"{_silent(now.away)} ingest",
            f"Clicks are answered 503 and when to try again, without waiting. {waiting}.",
        )
    if any(fault.name == "eventbridge" for fault in now.faults):
        return Status(
            Tone.WARN,
            "EventBridge throttles",
            f"{waiting}. Decisions stand; the worker slows down to what EventBridge takes. "
            f"An event refused for too long is kept on a queue: {now.kept:,} so far.",
        )
    return None


def _course(now: Snapshot) -> Status:
    if now.undecided:
        return Status(Tone.CALM, "Deciding", f"{_waiting(now.undecided)} for a decision.")
    if now.kept:
        return Status(
            Tone.WARN,
            "Events to publish again",
            f"{now.kept:,} events missed the lake and are kept: press “republish lost events”.",
        )
    if now.is_closed:
        return Status(Tone.GOOD, "Closed", "Ingest answers clicks with 409. Run the checks.")
    if not now.seats_left:
        return Status(
            Tone.GOOD, "Sold out", "Further clicks are accepted and rejected. Run the checks."
        )
    return Status(Tone.GOOD, "Ready", "Click as a user, or send a burst.")


def _waiting(messages: int) -> str:
    return "1 message waits" if messages == 1 else f"{messages:,} messages wait"


def _silent(services: tuple[str, ...]) -> str:
    names = " and ".join(SERVICES.get(service, service) for service in services)
    return f"{names} {'does' if len(services) == 1 else 'do'} not answer"
