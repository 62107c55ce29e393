"""Checks of what the table holds: seats, steps, times, keys, and that the final is final."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from schema import keys, names
from schema.items import RequestItem
from schema.states import EventType, ResultCode, Status, may_become
from simulation.checks.verdict import Rules, Verdict
from simulation.trace import Trace

Stored = Mapping[str, Any]
_Batch: TypeAlias = tuple[str | None, str, bool | None, int | None]
"""Requests of one batch: by whom it was decided, on which event, whether from the dead-letter
queue, and when it was begun."""
_Turn: TypeAlias = tuple[int, str]
"""When a request was queued, and its id."""

_REQUESTS: Final = keys.request_pk("")
_EVENTS: Final = keys.event_pk("")


class RequestChecks:
    """Follows every write of the table."""

    def __init__(self, trace: Trace, verdict: Verdict, rules: Rules) -> None:
        self._trace = trace
        self._rules = rules
        self._broken = verdict.broken
        self.items: dict[str, RequestItem] = {}
        """The requests as they stand."""
        self.outcomes: Counter[str] = Counter()
        self.sent_at_ms: defaultdict[str, set[int]] = defaultdict(set)
        """When each request's messages were sent."""
        self.last_decision_s = 0.0
        """When the last decision was stored, from the run's start."""
        self.last_seat_s = 0.0
        """When the last seat was sold; 0 where none was."""
        self._remaining: dict[str, int] = {}
        self._total: dict[str, int] = {}
        self._winners: Counter[str] = Counter()
        self._people: set[tuple[str, str]] = set()
        """Who takes part in which event."""
        self._left_out: set[str] = set()
        """Requests that a batch may have left out, so that others may go before them."""
        self._last_seats: dict[_Batch, _Turn] = {}
        self._first_losers: dict[_Batch, _Turn] = {}

    @property
    def seats_taken(self) -> int:
        """Of all events together."""
        return sum(self._winners.values())

    def wrote(self, caller: str, before: Stored | None, after: Stored | None) -> RequestItem | None:
        """Check one write; returns the request if it decides one."""
        item = after or before or {}
        partition = str(item["PK"]["S"])
        if partition.startswith(_REQUESTS):
            request_id = partition.removeprefix(_REQUESTS)
            return self._wrote_request(caller, request_id, before, after)
        if item["SK"]["S"] == keys.CAPACITY_SORT_KEY:
            self._wrote_capacity(caller, partition.removeprefix(_EVENTS), item)
        return None

    def was_in_the_way(self, partition: str) -> None:
        """Note a request for which a transaction was cancelled: the next one leaves it out."""
        self._left_out.add(partition.removeprefix(_REQUESTS))

    def was_received(self, request_id: str | None) -> None:
        """Note a request that is received before it is QUEUED: it may be put aside, and then has a
        batch of its own, which may begin in the same millisecond as others' (domain §6)."""
        item = self.items.get(request_id or "")
        if item is not None and item.status is Status.RECEIVED:
            self._left_out.add(item.request_id)

    def check_seats(self) -> None:
        """Seats that are gone are winners; to be asked where no transaction is half observed."""
        for event_id in self._remaining:
            self._check_seats(event_id)

    def _check_seats(self, event_id: str) -> None:
        taken = self._total[event_id] - self._remaining[event_id]
        winners = self._winners[event_id]
        if taken != winners:
            text = f"event {event_id}: {taken} seats are taken, and {winners} have won"
            self._broken("seats", text, event_id)

    def _wrote_capacity(self, caller: str, event_id: str, item: Stored) -> None:
        left = int(item["capacityRemaining"]["N"])
        if event_id in self._remaining:  # a transaction's first write: all before it is complete
            self._check_seats(event_id)
        self._total[event_id] = int(item["capacityTotal"]["N"])
        self._remaining[event_id] = left
        self._trace.note(caller, f"event {event_id}: {left} seats left")
        if left < 0:
            self._broken("seats", f"event {event_id} has {left} seats left", event_id)

    def _wrote_request(
        self, caller: str, request_id: str, before: Stored | None, after: Stored | None
    ) -> RequestItem | None:
        if after is None:
            self._broken("items", f"request {request_id} was deleted", request_id)
            return None
        was = self.items.get(request_id)
        now = self.items[request_id] = RequestItem.from_item(after)
        from_status = None if was is None else was.status
        self._trace.note(caller, f"request {request_id}: {from_status} -> {now.status}")
        self._check_step(was, now, unchanged=before == after)
        self._check_keys(was, now, after)
        if now.status.is_final and (was is None or not was.status.is_final):
            self._check_decision(was, now)
            return now
        return None

    def _check_step(self, was: RequestItem | None, now: RequestItem, *, unchanged: bool) -> None:
        name = now.request_id
        if was is None:
            if now.status is not Status.RECEIVED:
                self._broken("steps", f"request {name} begins as {now.status}", name)
            if (now.event_id, now.user_id) in self._people:
                text = f"{now.user_id} has a second request for {now.event_id}: {name}"
                self._broken("duplicate", text, name)
            self._people.add((now.event_id, now.user_id))
        elif was.status.is_final:
            if not unchanged:
                self._broken("final", f"request {name} changed after {was.status}", name)
        elif was.status is not now.status and not may_become(was.status, now.status):
            self._broken("steps", f"request {name} went from {was.status} to {now.status}", name)

    def _check_keys(self, was: RequestItem | None, now: RequestItem, after: Stored) -> None:
        name, queued_at = now.request_id, now.queued_at_ms
        if was is not None and was.queued_at_ms not in {None, queued_at}:
            self._broken("queuedAt", f"request {name}: queuedAt changed", name)
        filed = after.get(names.USER_INDEX_SORT_KEY)
        if (filed is not None) != (now.status is not Status.RECEIVED):
            self._broken("index", f"request {name} is {now.status}, filed under {filed}", name)
        elif filed is not None and filed["S"] != keys.user_index_sk(queued_at or 0, name):
            self._broken("index", f"request {name} is filed under {filed}", name)
        won = after.get(names.WINNERS_INDEX_SORT_KEY)
        if (won is not None) != (now.status is Status.SUCCEEDED and now.finished_at_ms is not None):
            text = f"request {name} is {now.status}, filed under {won} among the winners"
            self._broken("index", text, name)

    def _check_decision(self, was: RequestItem | None, now: RequestItem) -> None:
        name, event_id = now.request_id, now.event_id
        self.outcomes[now.result_code or "none"] += 1
        self.last_decision_s = self._trace.now_s()
        if now.status is Status.SUCCEEDED and now.event_type == EventType.FIRST_COME:
            self._winners[event_id] += 1
            self.last_seat_s = self.last_decision_s
        left = self._remaining.get(event_id, 0)
        if now.result_code == ResultCode.REJECTED_CAPACITY and left:
            text = f"request {name} was turned away while {left} seats of {event_id} were free"
            self._broken("losers", text, name)
        if now.event_type == EventType.FIRST_COME and self._rules.batches_are_known:
            self._check_order(now)
        queued, started, finished = now.queued_at_ms, now.started_at_ms, now.finished_at_ms
        if queued is None or started is None or finished is None:
            self._broken("times", f"request {name} is decided without its times", name)
            return
        if not queued <= started <= finished:
            self._broken("times", f"request {name}: {queued}, {started}, {finished}", name)
        sent = self.sent_at_ms.get(name)
        if not sent:
            self._broken("unasked", f"request {name} is decided, and was never sent", name)
        elif was is not None and was.queued_at_ms is None and queued not in sent:
            text = f"request {name}: queuedAt {queued} is no time at which it was sent"
            self._broken("queuedAt", text, name)
        if now.status is Status.FAILED_FINAL and not now.is_dlq:
            self._broken("gave up", f"request {name} failed without coming by the DLQ", name)

    def _check_order(self, now: RequestItem) -> None:
        """Within a batch, seats go by queuedAt, then by request id (domain §4)."""
        if (now.started_at_ms or 0) <= (now.queued_at_ms or 0):
            return  # corrected: it does not show when the batch was begun
        if now.request_id in self._left_out:
            return
        batch = now.worker_id, now.event_id, now.is_dlq, now.started_at_ms
        turn = now.queued_at_ms or 0, now.request_id
        if now.status is Status.SUCCEEDED:
            self._last_seats[batch] = max(turn, self._last_seats.get(batch, turn))
        elif now.result_code == ResultCode.REJECTED_CAPACITY:
            self._first_losers[batch] = min(turn, self._first_losers.get(batch, turn))
        first, last = self._first_losers.get(batch), self._last_seats.get(batch)
        if first is not None and last is not None and first < last:
            text = f"request {first[1]} got no seat, and request {last[1]}, queued later, got one"
            self._broken("order", text, now.request_id)
