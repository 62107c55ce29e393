"""The observer of a run: passes every effect to the checks that it concerns."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from config.settings import WorkerSettings
from simulation.aws.observer import Observer
from simulation.aws.sqs.messages import Message
from simulation.checks.evidence import EvidenceChecks
from simulation.checks.messages import MessageChecks
from simulation.checks.requests import RequestChecks
from simulation.checks.verdict import Rules, Verdict
from simulation.scenario import Scenario
from simulation.settings import LOST_EVENTS_QUEUE
from simulation.trace import Trace


class Checks(Observer):
    """Sees the services' side alone: no program is asked what it believes to have done."""

    def __init__(
        self,
        scenario: Scenario,
        settings: WorkerSettings,
        trace: Trace,
        *,
        queue: str,
        caller: Callable[[], str],
        is_well: Callable[[str], bool],
        lost: Callable[[], int],
        kept: Callable[[], int],
        now_s: Callable[[], float],
    ) -> None:
        """`lost` is how many events the programs count as lost, and `kept` how many of these as
        kept on the queue of lost events: the one thing they are asked.
        """
        rules = Rules.of(scenario, settings)
        self.verdict = Verdict(trace)
        self.requests = RequestChecks(trace, self.verdict, rules)
        self.evidence = EvidenceChecks(trace, self.verdict, self.requests, settings.environment)
        self.messages = MessageChecks(
            trace,
            self.verdict,
            rules,
            self.requests,
            queue=queue,
            in_flight_limit=settings.max_in_flight,
            visibility_timeout_s=settings.visibility_timeout_s,
            is_well=is_well,
            has_event=lambda request_id: self.evidence.published[request_id] > 0,
            lost=lost,
            now_s=now_s,
        )
        self.throttles: Counter[str] = Counter()
        self.first_throttle_s: dict[str, float] = {}
        self._lost = lost
        self._kept = kept
        self._caller = caller
        self._now_s = now_s

    def wrote(self, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        """As `RequestChecks`."""
        caller = self._caller()
        decided = self.requests.wrote(caller, before, after)
        if (
            decided
            and not decided.is_dlq
            and self.messages.comes_by_dlq(caller, decided.request_id)
        ):
            text = f"request {decided.request_id} came by the DLQ, and does not say so"
            self.verdict.broken("dlq", text, decided.request_id)
        elif (
            decided
            and decided.is_dlq
            and decided.dlq_at_ms is None
            and not self.messages.was_dead(decided.request_id)
        ):
            text = f"request {decided.request_id} says that it came by the DLQ, and did not"
            self.verdict.broken("dlq", text, decided.request_id)

    def was_in_the_way(self, key: tuple[str, str]) -> None:
        """As `RequestChecks`."""
        self.requests.was_in_the_way(key[0])

    def sent(self, queue: str, message: Message) -> None:
        """As `MessageChecks`, but for lost events: what is kept has to be published in the end."""
        if queue != LOST_EVENTS_QUEUE:
            self.messages.sent(self._caller(), queue, message)

    def received(self, queue: str, message: Message) -> None:
        """As `MessageChecks`."""
        if queue != LOST_EVENTS_QUEUE:
            self.messages.received(self._caller(), queue, message)

    def changed_visibility(self, queue: str, message: Message) -> None:
        """As `MessageChecks`."""
        if queue != LOST_EVENTS_QUEUE:
            self.messages.changed_visibility(self._caller(), queue, message)

    def not_in_flight(self, queue: str, receipt: int, timeout_s: int) -> None:
        """As `MessageChecks`."""
        if queue != LOST_EVENTS_QUEUE:
            self.messages.not_in_flight(queue, receipt, timeout_s)

    def deleted(self, queue: str, message: Message) -> None:
        """As `MessageChecks`."""
        if queue != LOST_EVENTS_QUEUE:
            self.messages.deleted(self._caller(), queue, message)

    def entry_failed(self, operation: str, queue: str, message: Message) -> None:
        """As `MessageChecks`."""
        self.messages.entry_failed(self._caller(), operation, message)

    def moved(self, source: str, target: str, message: Message) -> None:
        """As `MessageChecks`."""
        self.messages.moved(source, target, message)

    def published(self, entry: Mapping[str, Any]) -> None:
        """As `EvidenceChecks`."""
        self.evidence.accepted(self._caller(), entry)

    def delivered(self, record: bytes) -> None:
        """As `EvidenceChecks`."""
        self.evidence.delivered_record(record)

    def throttled(self, limit: str, resource: str) -> None:
        """Note which limit binds, and since when."""
        name = f"{limit} of {resource}"
        self.throttles[name] += 1
        self.first_throttle_s.setdefault(name, self._now_s())

    def in_the_end(self, accepted: frozenset[str] | set[str]) -> None:
        """Check what must hold when all is finished: nobody forgotten, nothing unaccounted for.

        `accepted` are the requests whose click was answered with 202.
        """
        items = self.requests.items
        for request_id in sorted(accepted):
            item = items.get(request_id)
            if item is None or not item.status.is_final:
                status = None if item is None else item.status
                text = f"request {request_id} was accepted, and is {status} in the end"
                self.verdict.broken("forgotten", text, request_id)
        decided = [name for name, item in items.items() if item.status.is_final]
        silent = [name for name in decided if not self.evidence.published[name]]
        gone = self._lost() - self._kept()
        if len(silent) > gone:
            text = f"{len(silent)} decisions have no event, and {gone} are counted as gone"
            self.verdict.broken("evidence", text, *silent[:1])
        self.requests.check_seats()
