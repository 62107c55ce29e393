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

OPERATOR: Final = "operator"
"""Who redrives: what it deletes from the dead-letter queue it has sent again."""
_ROUNDING_S: Final = 0.001


@dataclass(slots=True)
class _Lease:
    """The latest receive of a message that is neither deleted nor handed back."""

    node: str
    is_handed_back: bool = False


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
        self._now_s = now_s
        self._request_of: dict[int, str | None] = {}
        self._leases: dict[int, _Lease] = {}
        self._in_flight: Counter[str] = Counter()
        self.dead_lettered = 0
        self.quarantined = 0

    def sent(self, caller: str, queue: str, message: Message) -> None:
        """Note which request a message is about."""
        request_id = self._request_of[message.number] = _request_of(message)
        if queue != self._queue:
            self.quarantined += 1
        elif request_id is not None:
            self._requests.sent_at_ms[request_id].add(int(message.sent_at_ms))
        self._trace.note(caller, f"message {message.number} to {queue}: request {request_id}")

    def received(self, caller: str, queue: str, message: Message) -> None:
        """Check that nobody else works on it, and that its receiver may hold one more."""
        number, count = message.number, message.receive_count
        self._trace.note(caller, f"message {number} from {queue}, receive {count}")
        if number not in self._request_of:  # a second copy of a message
            self._request_of[number] = _request_of(message)
        lease = self._leases.get(number)
        if lease is not None and not lease.is_handed_back:
            self._in_flight[lease.node] -= 1
            if self._rules.leases_hold and self._is_well(lease.node):
                text = f"message {number} was received again while {lease.node} worked on it"
                self._broken("leases", text, f"message {number} ")
        self._leases[number] = _Lease(caller)
        self._in_flight[caller] += 1
        too_many = self._in_flight[caller] > self._in_flight_limit
        if too_many and self._rules.receives_arrive and caller != OPERATOR:
            text = f"{caller} holds {self._in_flight[caller]}, more than MAX_IN_FLIGHT"
            self._broken("in flight", text, caller)

    def changed_visibility(self, caller: str, queue: str, message: Message) -> None:
        """Distinguish an extension from a hand-back, after which there must be none."""
        number = message.number
        left_s = message.visible_at - self._now_s()
        self._trace.note(caller, f"message {number} of {queue} hidden for {left_s:.3f} s")
        lease = self._leases.get(number)
        if lease is None or lease.node != caller:
            return
        is_extension = left_s > self._visibility_timeout_s - _ROUNDING_S
        if is_extension and lease.is_handed_back:
            text = f"message {number} was handed back and then hidden again for {left_s:.0f} s"
            self._broken("hand-back", text, f"message {number} ")
        elif not is_extension and not lease.is_handed_back:
            lease.is_handed_back = True
            self._in_flight[caller] -= 1

    def deleted(self, caller: str, queue: str, message: Message) -> None:
        """Check that what is acknowledged is decided, stored and published."""
        number = message.number
        self._trace.note(caller, f"message {number} deleted from {queue}")
        lease = self._leases.pop(number, None)
        if lease is not None and not lease.is_handed_back:
            self._in_flight[lease.node] -= 1
        request_id = self._request_of.get(number)
        item = None if request_id is None else self._requests.items.get(request_id)
        if request_id is None or item is None or caller == OPERATOR:
            return  # it is quarantined, for it names no request; or redriven
        if not item.status.is_final:
            text = f"message {number} was deleted while request {request_id} is {item.status}"
            self._broken("acknowledged", text, request_id)
        elif self._rules.events_arrive and not self._has_event(request_id):
            text = f"message {number} was deleted before the event of request {request_id}"
            self._broken("unpublished", text, request_id)

    def moved(self, source: str, target: str, message: Message) -> None:
        """Count a message that was received too often."""
        self._leases.pop(message.number, None)
        self.dead_lettered += 1
        self._trace.note("sqs", f"message {message.number} moved from {source} to {target}")

    def is_for_people(self, message: Message) -> bool:
        """Whether a message in the dead-letter queue waits for an operator's eyes."""
        return names.REASON_CODE_ATTRIBUTE in (message.attributes or {})


def _request_of(message: Message) -> str | None:
    read = bodies.decode(message.body)
    return None if isinstance(read, MessageDefect) else read.request_id
