"""Decides requests: a pure function from deliveries, loaded items and a clock reading to a plan."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from aws.queue import Delivery
from aws.table import EventState, Loaded
from schema import names
from schema.items import MAX_ERROR_MESSAGE_CHARS, Change, RequestItem
from schema.message import DefectReason, MessageDefect, ParticipationMessage
from schema.states import FINAL_STATUSES, EventType, FailureClass, ResultCode, Status
from schema.values import value


@value(frozen=True, slots=True)
class Candidate:
    """A request to decide, with every delivery of it in this batch; the first one counts."""

    message: ParticipationMessage
    deliveries: tuple[Delivery, ...]
    attempted: RequestItem | None = None
    """What an earlier try of this worker meant to write, whether or not it took effect."""
    has_waited: bool = False
    """Whether it was put aside long enough, should its request be young (see `Plan.young`)."""

    @property
    def request_id(self) -> str:
        """The request's id."""
        return self.message.request_id


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one event type's rule says of one request."""

    status: Status
    result_code: ResultCode
    takes_seat: bool = False
    error_code: str | None = None
    error_message: str | None = None


SEAT: Final = Verdict(Status.SUCCEEDED, ResultCode.SUCCESS, takes_seat=True)
ENTRY: Final = Verdict(Status.SUCCEEDED, ResultCode.SUCCESS)
SOLD_OUT: Final = Verdict(Status.REJECTED, ResultCode.REJECTED_CAPACITY)


def first_come(seats_left: int | None) -> Verdict:
    """A seat while there is one (domain §6)."""
    if seats_left is None:
        return Verdict(
            Status.FAILED_FINAL,
            ResultCode.FAILED_EVENT_NOT_FOUND,
            error_code="CAPACITY_NOT_FOUND",
            error_message="the event has no capacity item",
        )
    return SEAT if seats_left > 0 else SOLD_OUT


def lottery(_seats_left: int | None) -> Verdict:
    """Every entry is recorded; the draw is not ours (domain §6)."""
    return ENTRY


RULES: Final[Mapping[str, Callable[[int | None], Verdict]]] = {
    EventType.FIRST_COME: first_come,
    EventType.LOTTERY: lottery,
}
"""One rule per event type, found by name; a new type is one function and one line here."""


_UNKNOWN_EVENT: Final = EventState()


@dataclass(frozen=True, slots=True)
class Reading:
    """The clock as the plan sees it, in epoch milliseconds, and who decides."""

    started_at_ms: int
    now_ms: int
    worker_id: str


@value(frozen=True, slots=True)
class Step:
    """A candidate and the change that decides it."""

    candidate: Candidate
    change: Change


@value(frozen=True, slots=True)
class Seeker:
    """A request that gets a seat if one is left, with when it was queued and its batch begun."""

    queued_at_ms: int
    request_id: str
    candidate: Candidate
    item: RequestItem
    started_at_ms: int

    @property
    def turn(self) -> tuple[int, str]:
        """Its place in the order in which seats go (domain §4)."""
        return self.queued_at_ms, self.request_id


@dataclass(frozen=True, slots=True)
class SeatPlan:
    """One event's winners in the order of their seats, and those who come after the last seat.

    `losers` may be written only once the winners' seats are committed: were that transaction
    cancelled, a seat might still be free for one of them.
    """

    winners: tuple[Step, ...]
    losers: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with a batch."""

    seekers: Mapping[str, tuple[Seeker, ...]] = field(default_factory=dict)
    """By event: those who get a seat if one is left, in the order in which seats go."""
    writes: tuple[Step, ...] = ()
    """Decisions that depend on no seat."""
    decided: tuple[tuple[Candidate, RequestItem], ...] = ()
    """Requests that were final already: nothing is written, the event is published again."""
    defects: tuple[tuple[Candidate, MessageDefect], ...] = ()
    """Messages that name no usable request."""
    blocked: tuple[tuple[Candidate, str], ...] = ()
    """Requests that wait until an operator fixes a stored item, with what is wrong with it."""
    deferred: tuple[Candidate, ...] = ()
    """Second messages on requests that this plan decides: for the next plan."""
    young: tuple[Candidate, ...] = ()
    """RECEIVED still, for a moment later: ingest is about to write QUEUED. One decided meanwhile
    would cost a failed write, and cancel the seat transaction of up to 98 others."""


def candidates(decoded: Iterable[tuple[Delivery, ParticipationMessage]]) -> list[Candidate]:
    """Gather the deliveries of each request; equal ids with different contents stay apart.

    A forged message that borrows a request's id must not speak for the real one.
    """
    found: dict[tuple[str, str, str, int | None], Candidate] = {}
    for delivery, message in decoded:
        contents = message.request_id, message.event_id, message.user_id, message.queued_at_ms
        known = found.get(contents)
        earlier = () if known is None else known.deliveries
        found[contents] = Candidate(message, (*earlier, delivery))
    return list(found.values())


def plan(batch: Sequence[Candidate], loaded: Loaded, reading: Reading) -> Plan:
    """Decide a batch; knows no clock, no client, no task.

    Within an event, seats go by `queuedAt`, then `requestId` (domain §4).
    """
    decided: list[tuple[Candidate, RequestItem]] = []
    defects: list[tuple[Candidate, MessageDefect]] = []
    blocked: list[tuple[Candidate, str]] = []
    writes: list[Step] = []
    deferred: list[Candidate] = []
    undecided: dict[str, tuple[Candidate, RequestItem]] = {}
    for candidate in batch:
        message = candidate.message
        item = loaded.requests.get(message.request_id)
        event = loaded.events.get(message.event_id, _UNKNOWN_EVENT)
        if item is None:
            defects.append((candidate, _no_request(candidate, loaded)))
        elif item.status in FINAL_STATUSES:
            decided.append((candidate, item))
        elif event.defect is not None:
            blocked.append((candidate, event.defect))
        elif message.request_id in undecided:
            deferred.append(candidate)
        else:
            undecided[message.request_id] = candidate, item
    seekers: dict[str, list[Seeker]] = {}
    young: list[Candidate] = []
    for candidate, item in undecided.values():
        if item.status is Status.RECEIVED and not candidate.has_waited:
            young.append(candidate)
            continue
        queued_at = queued_at_ms(candidate, item)
        mismatch = _mismatch(candidate.message, item)
        if mismatch is not None:
            verdict = _mismatched(mismatch)
        else:
            event = loaded.events.get(item.event_id, _UNKNOWN_EVENT)
            verdict = _verdict(item.event_type, event, event.seats_left)
        if not verdict.takes_seat:
            writes.append(_step(candidate, item, verdict, queued_at, reading))
        else:
            seekers.setdefault(item.event_id, []).append(
                Seeker(queued_at, item.request_id, candidate, item, reading.started_at_ms)
            )
    return Plan(
        seekers={
            event: tuple(sorted(found, key=_in_seat_order)) for event, found in seekers.items()
        },
        writes=tuple(writes),
        decided=tuple(decided),
        defects=tuple(defects),
        blocked=tuple(blocked),
        deferred=tuple(deferred),
        young=tuple(young),
    )


def seats(seekers: Sequence[Seeker], event: EventState, now_ms: int, worker_id: str) -> SeatPlan:
    """Give one event's seekers, in the order given, the seats that are left."""
    left = event.seats_left
    winners: list[Step] = []
    losers: list[Step] = []
    reading: Reading | None = None
    for seeker in seekers:
        seats_left = None if left is None else left - len(winners)
        verdict = _verdict(seeker.item.event_type, event, seats_left)
        if reading is None or reading.started_at_ms != seeker.started_at_ms:
            reading = Reading(seeker.started_at_ms, now_ms, worker_id)  # one for a batch
        step = _step(seeker.candidate, seeker.item, verdict, seeker.queued_at_ms, reading)
        (winners if verdict.takes_seat else losers).append(step)
    return SeatPlan(tuple(winners), tuple(losers))


def queued_at_ms(candidate: Candidate, item: RequestItem) -> int:
    """The inherited time of queueing: item, else message body, else SQS (domain §6).

    Whoever may send can write any time into a body. It is believed between two that are not its
    sender's: a request was stored before it was queued, and queued before SQS had the message.
    """
    if item.queued_at_ms is not None:
        return item.queued_at_ms
    sent_at, claimed = candidate.deliveries[0].sent_at_ms, candidate.message.queued_at_ms
    stored_at = item.requested_at_ms
    if claimed is not None and stored_at is not None and stored_at <= claimed <= sent_at:
        return claimed
    return sent_at


def failed_for_good(
    candidate: Candidate, item: RequestItem, reading: Reading, error_code: str, error_message: str
) -> Step:
    """The last word on a request whose try from the DLQ failed as well (domain §6)."""
    verdict = Verdict(
        Status.FAILED_FINAL,
        ResultCode.FAILED_WORKER,
        error_code=error_code,
        error_message=error_message,
    )
    queued_at = queued_at_ms(candidate, item)
    return _step(candidate, item, verdict, queued_at, reading, FailureClass.RETRYABLE)


_in_seat_order: Final = attrgetter("queued_at_ms", "request_id")


def _verdict(event_type: str, event: EventState, seats_left: int | None) -> Verdict:
    if not event.exists:
        return Verdict(
            Status.FAILED_FINAL,
            ResultCode.FAILED_EVENT_NOT_FOUND,
            error_code="EVENT_NOT_FOUND",
            error_message="the event does not exist",
        )
    rule = RULES.get(event_type)
    if rule is None:
        return Verdict(
            Status.FAILED_FINAL,
            ResultCode.FAILED_VALIDATION,
            error_code="EVENT_TYPE_UNKNOWN",
            error_message=f"no rule decides events of type {event_type!r}",
        )
    return rule(seats_left)


def _step(
    candidate: Candidate,
    item: RequestItem,
    verdict: Verdict,
    queued_at: int,
    reading: Reading,
    failure_class: FailureClass = FailureClass.NON_RETRYABLE,
) -> Step:
    delivery = candidate.deliveries[0]
    # Clocks of different hosts drift; no delay may be negative (domain §6).
    started_at = max(reading.started_at_ms, queued_at)
    failed = verdict.status is Status.FAILED_FINAL
    message = verdict.error_message
    # Named one by one: dataclasses.replace takes twice as long, for every message.
    after = RequestItem(
        request_id=item.request_id,
        event_id=item.event_id,
        user_id=item.user_id,
        event_type=item.event_type,
        requested_at_ms=item.requested_at_ms,
        dlq_at_ms=item.dlq_at_ms,
        ttl_s=item.ttl_s,
        status=verdict.status,
        result_code=verdict.result_code.value,
        queued_at_ms=queued_at,
        started_at_ms=started_at,
        finished_at_ms=max(reading.now_ms, started_at),
        attempt=delivery.attempt,
        is_dlq=_is_dlq(delivery, item),
        failure_class=failure_class.value if failed else None,
        error_code=verdict.error_code,
        error_message=None if message is None else message[:MAX_ERROR_MESSAGE_CHARS],
        worker_id=reading.worker_id,
    )
    return Step(candidate, Change(item, after))


def _is_dlq(delivery: Delivery, item: RequestItem) -> bool:
    """Whether the message came by way of the DLQ: consumed there, or redriven (g1 §5.2)."""
    return (
        delivery.from_dlq
        or names.REDRIVEN_AT_ATTRIBUTE in delivery.attributes
        or item.dlq_at_ms is not None
    )


def _no_request(candidate: Candidate, loaded: Loaded) -> MessageDefect:
    message = candidate.message
    unreadable = loaded.unreadable.get(message.request_id)
    if unreadable is not None:
        return MessageDefect(
            DefectReason.ITEM_UNREADABLE, unreadable, message.request_id, message.event_id
        )
    return MessageDefect(
        DefectReason.REQUEST_NOT_FOUND,
        f"no request {message.request_id} is stored",
        message.request_id,
        message.event_id,
    )


def _mismatch(message: ParticipationMessage, item: RequestItem) -> str | None:
    if message.event_id != item.event_id:
        return "eventId"
    return "userId" if message.user_id != item.user_id else None


def _mismatched(field: str) -> Verdict:
    return Verdict(
        Status.FAILED_FINAL,
        ResultCode.FAILED_VALIDATION,
        error_code="ID_MISMATCH",
        error_message=f"the message's {field} is not the request's",
    )
