"""Mutations of the adapters: conditions of writes, and events on their way to the bus."""

from typing import Final

from tests.simulation.mutants.mutation import replaced

TABLE: Final = (
    replaced(
        "seats-without-condition",
        "The capacity goes down without the condition that so many seats are left.",
        "aws.statements",
        ('"capacityRemaining >= :seats"', '"attribute_exists(capacityRemaining)"'),
    ),
    replaced(
        "one-seat-a-transaction",
        "A transaction takes one seat, however many winners it has.",
        "aws.table",
        ("event_id, len(changes), at_ms, mark", "event_id, 1, at_ms, mark"),
    ),
    replaced(
        "winner-without-condition",
        "A winner's request is written without the condition on its status.",
        "aws.statements",
        ('"#status = :read"', '"#status = :read OR attribute_exists(#status)"'),
    ),
    replaced(
        "step-without-condition",
        "Single steps are written without the condition on the status: marking a request as queued "
        "overwrites its decision.",
        "aws.statements",
        ("""AND "status"=?'""", """AND ("status"=? OR attribute_exists("status"))'"""),
    ),
    replaced(
        "insert-without-condition",
        "A request is inserted though it exists.",
        "aws.table",
        (
            """\
        return await self._execute(
            len(requests), (statements.insert_statement(self.name, request) for request in requests)
        )
""",
            """\
        for request in requests:
            await self._client.call("PutItem", TableName=self.name, Item=request.to_item())
        return [None] * len(requests)
""",
        ),
    ),
)

ITEMS: Final = (
    replaced(
        "losers-among-the-winners",
        "Every request that is decided is filed in the index of winners.",
        "schema.items",
        ("self.status is not Status.SUCCEEDED\n            or ", ""),
        ("if after.status is Status.SUCCEEDED:", "if after.finished_at_ms:"),
    ),
    replaced(
        "winners-not-filed",
        "A winner is filed in the index of winners only where it was not QUEUED yet.",
        "schema.items",
        (
            "if after.status is Status.SUCCEEDED:",
            "if after.status is Status.SUCCEEDED and before.status is Status.RECEIVED:",
        ),
    ),
)

PUBLISHER: Final = (
    replaced(
        "failed-entry-published",
        "Entries that fail alone are taken for published.",
        "aws.publisher",
        (
            """\
        if not any(errors):
            self._pace.accepted""",
            """\
        if not all(errors):
            self._pace.accepted""",
        ),
        (
            "if not any(errors):\n            return [None]",
            "if not all(errors):\n            return [None]",
        ),
    ),
    replaced(
        "loss-not-counted",
        "Events that could not be published are dropped without being counted.",
        "aws.publisher",
        (
            """\
            self._observer.lost(reason, count)
""",
            """\
            pass
""",
        ),
    ),
    replaced(
        "publish-failure-raised",
        "An event that is lost hands its message back.",
        "aws.publisher",
        (
            """\
            end = None
""",
            """\
            end = RuntimeError("events are lost")
""",
        ),
        (
            """\
                closed.append((item, LossReason.CLOSED))
""",
            """\
                raise end
""",
        ),
    ),
    replaced(
        "not-kept-counted-as-kept",
        "Lost events that SQS did not take count as kept.",
        "aws.lost_events",
        ("return len(results) - len(errors)", "return len(results)"),
    ),
)
