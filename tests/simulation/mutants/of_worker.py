"""Mutations of the worker's decisions: who gets a seat, what is committed, and when it is said."""

from typing import Final

from tests.simulation.mutants.mutation import replaced

DECIDE: Final = (
    replaced(
        "one-seat-kept",
        "The last seat is never given away.",
        "worker.decide",
        ("SEAT if seats_left > 0 else", "SEAT if seats_left > 1 else"),
    ),
    replaced(
        "seats-in-order-of-receipt",
        "Within a batch, seats go in the order in which messages were received.",
        "worker.decide",
        ("tuple(sorted(found, key=_in_seat_order))", "tuple(found)"),
        ("return self.queued_at_ms, self.request_id", 'return 0, ""'),
    ),
    replaced(
        "queued-at-by-the-worker",
        "Where the request has no queuedAt yet, it is read from the worker's clock.",
        "worker.decide",
        (
            """\
queued_at = queued_at_ms(candidate, item)
        mismatch""",
            """\
queued_at = item.queued_at_ms or reading.now_ms
        mismatch""",
        ),
    ),
    replaced(
        "started-before-queued",
        "startedAt is the worker's clock as it is: one that is slow makes a negative delay.",
        "worker.decide",
        (
            "started_at = max(reading.started_at_ms, queued_at)",
            "started_at = reading.started_at_ms",
        ),
    ),
    replaced(
        "finished-before-started",
        "finishedAt is the worker's clock as it is, even where startedAt was corrected.",
        "worker.decide",
        ("finished_at_ms=max(reading.now_ms, started_at)", "finished_at_ms=reading.now_ms"),
    ),
    replaced(
        "defect-is-a-verdict",
        "An event whose item breaks the contract is taken for one that does not exist.",
        "worker.decide",
        ("elif event.defect is not None:", "elif False:"),
    ),
    replaced(
        "dlq-forgotten",
        "A decision does not say that its message came by the DLQ.",
        "worker.decide",
        ("is_dlq=_is_dlq(delivery, item)", "is_dlq=False"),
    ),
    replaced(
        "dlq-made-up",
        "A decision says that its message came by the DLQ, and it did not.",
        "worker.decide",
        ("is_dlq=_is_dlq(delivery, item)", "is_dlq=True"),
    ),
)

SEATS: Final = (
    replaced(
        "losers-first",
        "A transaction turns away who gets none of its seats, before they are committed.",
        "worker.seats",
        ("min(self._size.most, seats_left, self._turn.share(mine, seats_left))", "self._size.most"),
        (
            "steps = self._plan(chunk, event)",
            "steps = self._plan(chunk, event); chunk = chunk[:len(steps)]",
        ),
    ),
    replaced(
        "seats-gone-before-the-answer",
        "What a commit will leave is remembered before it is answered: others are turned away.",
        "worker.seats",
        (
            """\
        for attempt in range(1, _SAME_TOKEN_TRIES + 1):
""",
            """\
        if event is not None:
            self._events.left(self._event_id, left)
        for attempt in range(1, _SAME_TOKEN_TRIES + 1):
""",
        ),
    ),
    replaced(
        "sold-out-one-too-early",
        "An event whose last seat but one was sold is remembered as sold out.",
        "worker.seats",
        ("        if left:\n", "        if left > 1:\n"),
        (
            "self._events.sold_out(self._event_id)",
            "self._events.left(self._event_id, 0)",
        ),
    ),
    replaced(
        "token-kept",
        "A changed plan is committed with the token of an earlier one.",
        "worker.seats",
        (
            'token = f"{self._parts.random.getrandbits(128):032x}"',
            """\
token = f"{self._parts.random.getrandbits(128):032x}"
        self._token = token = getattr(self, "_token", token)""",
        ),
    ),
    replaced(
        "cancelled-commit-is-a-success",
        "Who was not in the way of a cancelled transaction is taken for a winner.",
        "worker.seats",
        (
            """\
            await self._cancelled(chunk, error)
""",
            """\
            await self._cancelled(chunk, error)
            for waiting, step in zip(chunk, steps, strict=True):
                waiting.outcome = waiting.outcome or Decided(
                    step.candidate.deliveries, step.change.after, by_this_worker=True
                )
""",
        ),
    ),
    replaced(
        "unanswered-commit-is-a-failure",
        "An unanswered commit is taken for a failure: its requests are published as failed.",
        "worker.seats",
        (
            "waiting.outcome = Undecided(attempted, str(error), Retry.AFTER_OUTAGE)",
            """\
from schema.states import Status
                failed = replace(step.change.after, status=Status.FAILED_FINAL)
                waiting.outcome = Decided(attempted.deliveries, failed, by_this_worker=True)""",
        ),
    ),
    replaced(
        "unanswered-commit-is-a-success",
        "An unanswered commit is taken for a success.",
        "worker.seats",
        (
            "waiting.outcome = Undecided(attempted, str(error), Retry.AFTER_OUTAGE)",
            "waiting.outcome = Decided(attempted.deliveries, attempted.attempted, True)",
        ),
    ),
    replaced(
        "throttled-transaction-repeated-as-it-is",
        "A seat transaction that is larger than the table bears is tried again as it is.",
        "worker.size",
        ("max(1, min(self.most, winners // 2))", "self.most"),
    ),
    replaced(
        "turn-of-the-dead",
        "A seller that is gone is waited for without end.",
        "worker.turn",
        ("_IDLE_S: Final = 1.0", '_IDLE_S: Final = float("inf")'),
        ("_PATIENCE_S: Final = 5.0", '_PATIENCE_S: Final = float("inf")'),
    ),
)

COMMIT: Final = (
    replaced(
        "unanswered-write-is-a-success",
        "Decisions without a seat count as written though DynamoDB did not answer.",
        "worker.commit",
        (
            "undecided=[_put_off(step, failed, Retry.AFTER_OUTAGE) for step in steps]",
            "decided=[_decided(step) for step in steps]",
        ),
    ),
    replaced(
        "failed-statement-is-a-success",
        "Decisions without a seat count as written though DynamoDB refused one alone.",
        "worker.commit",
        ("for step, error in outcomes if error is None]", "for step, error in outcomes]"),
        ("if error is not None\n", "if False\n"),
    ),
    replaced(
        "event-from-the-plan",
        "What another writer decided is published as this worker had planned it.",
        "worker.commit",
        (
            "Decided(c.deliveries, item, by_this_worker=c.attempted == item)",
            "Decided(c.deliveries, c.attempted or item, by_this_worker=c.attempted == item)",
        ),
    ),
    replaced(
        "event-from-the-redelivery",
        "A redelivery publishes its own attempt, and not the stored one.",
        "worker.commit",
        (
            "Decided(c.deliveries, item, by_this_worker=c.attempted == item)",
            "Decided(c.deliveries, replace(item, attempt=c.deliveries[0].attempt), False)",
        ),
    ),
    replaced(
        "gives-up-before-the-dlq",
        "What could not be decided in one delivery is FAILED_FINAL before any try from the DLQ.",
        "worker.retry",
        (
            "if u.candidate.deliveries[0].from_dlq and u.retry not in OTHERS_FAULT",
            "if u.retry not in OTHERS_FAULT",
        ),
    ),
    replaced(
        "outage-blames-messages",
        "Tries that fail because the table is away count: messages go back with a back-off.",
        "worker.results",
        ("frozenset({Retry.WHEN_FREE, Retry.AFTER_OUTAGE})", "frozenset({Retry.WHEN_FREE})"),
    ),
    replaced(
        "busy-table-blames-messages",
        "Tries that fail because others write count: messages go back with a back-off.",
        "worker.results",
        ("frozenset({Retry.WHEN_FREE, Retry.AFTER_OUTAGE})", "frozenset({Retry.AFTER_OUTAGE})"),
    ),
    replaced(
        "tried-on-after-the-hand-back",
        "What will be tried again here is handed back as well.",
        "worker.retry",
        (
            "undecided=[u for u in result.undecided if id(u) not in staying]",
            "undecided=result.undecided",
        ),
    ),
)

YOUNG: Final = (
    replaced(
        "young-never-brought-back",
        "A young request that was put aside is never looked at again.",
        "worker.process",
        ("await self._process(young, settling)", "pass"),
    ),
    replaced(
        "young-without-end",
        "A request that stays RECEIVED is put aside again and again.",
        "worker.process",
        ("return max(tries) >= _MOST_ASIDE", "return False"),
    ),
    replaced(
        "young-returned-and-processed",
        "The deliveries of young requests are handed back, and processed again as well.",
        "worker.process",
        (
            """\
        if self.parts.stop.requested:
            await self.settler.return_now(young)
        else:
            await self._process(young, settling)
""",
            """\
        await self.settler.return_now(young)
        if True:
            await self._process(young, settling)
""",
        ),
    ),
)
