"""Checks of what happens to messages: leases, the bound on what is in flight, acknowledgements."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from schema import message as bodies
from schema import names
from schema.message import MessageDefect
from simulation.aws.sqs.messages import Message
from simulation.checks.requests import RequestChecks
from simulation.checks.verdict import Rules, Verdict
from simulation.trace import Trace

_MOST_DELETE_TRIES: Final = 4
"""After so many deletes that SQS fails, a worker lets a message go (worker/channel.py)."""
OPERATOR: Final = "operator"
"""Who redrives: what it deletes from the dead-letter queue it has sent again."""
_ROUNDING_S: Final = 0.001


@dataclass(slots=True)
class _Lease:
    """The latest receive of a message that is not deleted."""

    node: str
    message: Message
    from_dlq: bool
    """Whether it was received from the dead-letter queue, or after a redrive."""
    is_handed_back: bool = False
    is_excused: bool = False
    """Whether SQS failed what would have extended or ended it: its holder may have let it go."""
    failed_deletes: int = 0

    @property
    def counts(self) -> bool:
        """Whether it takes up one of its holder's places."""
        return not self.is_handed_back and not self.is_excused


class MessageChecks:
    """Follows every message of both queues."""

    def __init__(
        self,
        trace: Trace,
        verdict: Verdict,
        rules: Rules,
        requests: RequestChecks,
        *,
        queue: str,
        in_flight_limit: int,
        visibility_timeout_s: int,
        is_well: Callable[[str], bool],
        has_event: Callable[[str], bool],
        lost: Callable[[], int],
        now_s: Callable[[], float],
    ) -> None:
        self._trace = trace
        self._broken = verdict.broken
        self._rules = rules
        self._requests = requests
        self._queue = queue
        self._in_flight_limit = in_flight_limit
        self._visibility_timeout_s = visibility_timeout_s
        self._is_well = is_well
        self._has_event = has_event
        self._lost = lost
        self._silent: set[str] = set()
        """Requests of which a message was deleted, and no event has been published."""
        self._now_s = now_s
        self._request_of: dict[int, str | None] = {}
        self._sent_s: dict[tuple[str, str], float] = {}
        """When a process last sent a message on a request."""
        self._leases: dict[int, _Lease] = {}
        self._in_flight: Counter[str] = Counter()
        self._handed_back: set[tuple[str, int]] = set()
        """Receives, by queue, after which the message was handed back."""
        self._drained: set[str] = set()
        self._dead: set[str] = set()
        """Requests of which a message was received as a dead letter, or after a redrive."""
        self._copied: set[str] = set()
        """The messages of which a copy was sent to the dead-letter queue."""
        self.dead_letters: set[int] = set()
        """The messages that SQS moved to the dead-letter queue and nobody has deleted yet."""
        self.dead_lettered = 0
        self.quarantined = 0

    def sent(self, caller: str, queue: str, message: Message) -> None:
        """Note which request a message is about."""
        request_id = self._request_of[message.number] = _request_of(message)
        if queue != self._queue:
            self.quarantined += 1
            self._copied.add(_attribute(message, names.SOURCE_MESSAGE_ID_ATTRIBUTE))
        elif request_id is not None:
            self._requests.sent_at_ms[request_id].add(int(message.sent_at_ms))
            self._sent_s[caller, request_id] = self._now_s()
        self._trace.note(caller, f"message {message.number} to {queue}: request {request_id}")

    def refused(self, caller: str, request_id: str, began_s: float) -> None:
        """Check that a click that is answered 503 has not been queued (domain §5)."""
        was_sent = self._sent_s.get((caller, request_id), -1.0) >= began_s
        if was_sent and self._rules.sends_are_answered and self._is_well(caller):
            text = f"a click was refused, and the message on its request {request_id} was sent"
            self._broken("refused", text, request_id)

    def received(self, caller: str, queue: str, message: Message) -> None:
        """Check that nobody else works on it, and that its receiver may hold one more."""
        number, count = message.number, message.receive_count
        self._trace.note(caller, f"message {number} from {queue}, receive {count}")
        if number not in self._request_of:  # a second copy of a message
            self._request_of[number] = _request_of(message)
        self._requests.was_received(self._request_of[number])
        lease = self._leases.get(number)
        if caller in self._drained and self._rules.receives_arrive:
            self._broken("drain", f"message {number} went to {caller}, which has ended", caller)
        self._end_lease(number, lease)
        from_dlq = queue != self._queue or bool(_attribute(message, names.REDRIVEN_AT_ATTRIBUTE))
        self._leases[number] = _Lease(caller, message, from_dlq)
        if from_dlq:
            self._dead.add(self._request_of[number] or "")
        self._in_flight[caller] += 1
        too_many = self._in_flight[caller] > self._in_flight_limit
        if too_many and self._rules.receives_arrive and caller != OPERATOR:
            self._check_hidden(caller)

    def _check_hidden(self, caller: str) -> None:
        """Count again without what has become visible by itself, as behind a paused process."""
        now_s = self._now_s()
        hidden = sum(
            lease.node == caller and lease.counts and lease.message.visible_at > now_s
            for lease in self._leases.values()
        )
        if hidden > self._in_flight_limit:
            self._broken("in flight", f"{caller} holds {hidden}, more than MAX_IN_FLIGHT", caller)

    def _end_lease(self, number: int, lease: _Lease | None) -> None:
        """Check that nobody works on a message that is handed out again, or moved."""
        if lease is not None and lease.counts:
            self._in_flight[lease.node] -= 1
            if self._rules.leases_hold and self._is_well(lease.node):
                text = f"the lease of message {number} ran out while {lease.node} worked on it"
                self._broken("leases", text, f"message {number} ")

    def changed_visibility(self, caller: str, queue: str, message: Message) -> None:
        """Distinguish an extension from a hand-back, after which there must be none."""
        number = message.number
        left_s = message.visible_at - self._now_s()
        self._trace.note(caller, f"message {number} of {queue} hidden for {left_s:.3f} s")
        lease = self._leases.get(number)
        if lease is None or lease.node != caller:
            return
        is_extension = left_s > self._visibility_timeout_s - _ROUNDING_S
        if is_extension and lease.is_handed_back and self._rules.receives_arrive:
            text = f"message {number} was handed back and then hidden again for {left_s:.0f} s"
            self._broken("hand-back", text, f"message {number} ")
        elif not is_extension and not lease.is_handed_back:
            if lease.counts:
                self._in_flight[caller] -= 1
            lease.is_handed_back = True
            self._handed_back.add((queue, message.receipt))
            if left_s > _ROUNDING_S:
                self._check_put_off(caller, number)

    def not_in_flight(self, queue: str, receipt: int, timeout_s: int) -> None:
        """A holder extends nothing that it has handed back: a moment earlier it would be hidden."""
        is_extension = timeout_s >= self._visibility_timeout_s
        if is_extension and (queue, receipt) in self._handed_back and self._rules.receives_arrive:
            text = f"receive {receipt} of {queue} was handed back, and is extended"
            self._broken("hand-back", text)

    def _check_put_off(self, caller: str, number: int) -> None:
        """What a worker has decided it acknowledges, whatever becomes of the event; what the table
        keeps it from deciding it keeps, or gives to others immediately."""
        item = self._requests.items.get(self._request_of.get(number) or "")
        if item is None:
            return
        if not item.status.is_final and self._rules.none_is_to_blame:
            text = f"message {number} is to come again later, and only its table is to blame"
            self._broken("blame", text, item.request_id)
        decided = item.status.is_final and item.worker_id == caller
        if decided and self._rules.commits_are_answered:
            text = f"message {number} is to come again, and {caller} has decided its request"
            self._broken("handed back", text, item.request_id)

    def entry_failed(self, caller: str, operation: str, message: Message) -> None:
        """Note that a receiver may have to let a message go that it can't delete or extend."""
        number = message.number
        self._trace.note(caller, f"{operation} fails for message {number}")
        lease = self._leases.get(number)
        if lease is None or lease.node != caller:
            return
        counted = lease.counts
        if operation == "DeleteMessageBatch":
            lease.failed_deletes += 1
            lease.is_excused |= lease.failed_deletes >= _MOST_DELETE_TRIES
        else:
            lease.is_excused = True
        if counted and not lease.counts:
            self._in_flight[caller] -= 1

    def drained(self, node: str) -> None:
        """Check that a process that says it has drained left nothing hidden from the others."""
        self._drained.add(node)
        if not self._rules.receives_arrive:
            return
        for number, lease in self._leases.items():
            is_hidden = lease.message.visible_at > self._now_s() + _ROUNDING_S
            if lease.node == node and lease.counts and is_hidden:
                text = f"{node} has drained, and message {number} is still hidden for it"
                self._broken("drain", text, f"message {number} ")

    def was_dead(self, request_id: str) -> bool:
        """Whether a message on a request was ever received as a dead letter, or after a redrive."""
        return request_id in self._dead

    def comes_by_dlq(self, caller: str, request_id: str) -> bool:
        """Whether all messages on a request that a node holds have been dead letters."""
        if request_id not in self._dead or not self._rules.leases_hold:
            return False
        held = [
            lease.from_dlq
            for number, lease in self._leases.items()
            if lease.node == caller and self._request_of[number] == request_id
        ]
        return bool(held) and all(held) and self._is_well(caller)

    def deleted(self, caller: str, queue: str, message: Message) -> None:
        """Check that what is acknowledged is decided, stored and published."""
        number = message.number
        self._trace.note(caller, f"message {number} deleted from {queue}")
        self.dead_letters.discard(number)
        lease = self._leases.pop(number, None)
        if lease is not None and lease.counts:
            self._in_flight[lease.node] -= 1
        if caller == OPERATOR:
            return  # it is redriven
        request_id = self._request_of.get(number)
        item = None if request_id is None else self._requests.items.get(request_id)
        if request_id is None or item is None:
            if message.message_id not in self._copied:
                text = f"message {number}, which names no request, was deleted without a copy"
                self._broken("quarantine", text, f"message {number} ")
            return
        if not item.status.is_final:
            text = f"message {number} was deleted while request {request_id} is {item.status}"
            self._broken("acknowledged", text, request_id)
        elif not self._has_event(request_id):
            self._silent.add(request_id)
            if len(self._silent) > self._lost():
                text = (
                    f"message {number} was deleted before the event of request {request_id}, and"
                    f" {self._lost()} events are counted as lost"
                )
                self._broken("unpublished", text, request_id)

    def moved(self, source: str, target: str, message: Message) -> None:
        """Count a message that was received too often."""
        self._end_lease(message.number, self._leases.pop(message.number, None))
        self.dead_letters.add(message.number)
        self.dead_lettered += 1
        self._trace.note("sqs", f"message {message.number} moved from {source} to {target}")


def _attribute(message: Message, name: str) -> str:
    attribute = (message.attributes or {}).get(name)
    return "" if attribute is None else str(attribute["StringValue"])


def _request_of(message: Message) -> str | None:
    read = bodies.decode(message.body)
    return None if isinstance(read, MessageDefect) else read.request_id
