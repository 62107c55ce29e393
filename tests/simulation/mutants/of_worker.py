"""Mutations of the worker's decisions: who gets a seat, what is committed, and when it is said."""

from typing import Final

from tests.simulation.mutants.mutation import replaced

DECIDE: Final = (
    replaced(
        "winners-beyond-capacity",
        "A plan counts no seat as taken: it may have more winners than seats are left.",
        "worker.decide",
        (
            "left[event_id] = None if seats_left is None else seats_left - 1",
            "left[event_id] = seats_left",
        ),
    ),
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
        ("in sorted(requests, key=_in_seat_order):", "in requests:"),
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

COMMIT: Final = (
    replaced(
        "losers-first",
        "Losers are written before the winners' seats are committed.",
        "worker.commit",
        (
            """\
        seated = await _concurrently([partial(self._seat, *seats) for seats in plan.seats.items()])
        losers = [step for _, losers in seated for step in losers]
        written = await self.write([*plan.writes, *losers])
""",
            """\
        losers = [step for seats in plan.seats.values() for step in seats.losers]
        written = await self.write([*plan.writes, *losers])
        seated = await _concurrently([partial(self._seat, *seats) for seats in plan.seats.items()])
""",
        ),
    ),
    replaced(
        "token-kept",
        "A changed plan is committed with the token of an earlier one.",
        "worker.commit",
        (
            'token = f"{self.random.getrandbits(128):032x}"',
            'self._token = token = getattr(self, "_token", f"{self.random.getrandbits(128):032x}")',
        ),
    ),
    replaced(
        "unanswered-commit-is-a-failure",
        "An unanswered commit is taken for a failure: its requests are published as failed.",
        "worker.commit",
        (
            """\
        except (SeatsCancelled, Transient) as error:
""",
            """\
        except Transient:
            from schema.states import Status
            failed = [
                replace(_decided(s), item=replace(s.change.after, status=Status.FAILED_FINAL))
                for s in seats.winners
            ]
            return BatchResult(failed, (), [_put_off(s, ValueError()) for s in seats.losers]), ()
        except SeatsCancelled as error:
""",
        ),
    ),
    replaced(
        "unanswered-commit-is-a-success",
        "An unanswered commit is taken for a success.",
        "worker.commit",
        (
            """\
        except (SeatsCancelled, Transient) as error:
""",
            """\
        except Transient:
            pass
        except SeatsCancelled as error:
""",
        ),
    ),
    replaced(
        "unanswered-write-is-a-success",
        "Decisions without a seat count as written though DynamoDB did not answer.",
        "worker.commit",
        ("errors = [unanswered] * len(steps)", "errors = [None] * len(steps)"),
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
            "last_tries = [u for u in result.undecided if u.candidate.deliveries[0].from_dlq]",
            "last_tries = list(result.undecided)",
        ),
        (
            "others = [u for u in result.undecided if not u.candidate.deliveries[0].from_dlq]",
            "others = []",
        ),
    ),
)
