"""Mutations of ingest: what a click's 202 promises."""

from typing import Final

from tests.simulation.mutants.mutation import replaced

ACCEPT: Final = (
    replaced(
        "accepted-before-sent",
        "A click is answered 202 before its message is sent.",
        "ingest.aws_gateway",
        (
            """\
        since_s, sent = await self._try(SEND, self._sends.submit_many, messages)
""",
            """\
        self._background.start_soon(self._try, SEND, self._sends.submit_many, messages)
        sent = ["sent"] * len(messages)
""",
        ),
    ),
    replaced(
        "accepted-though-unavailable",
        "A click is answered 202 though its request could not be stored, or not be sent.",
        "ingest.accept",
        (
            """\
        except Unavailable:
            return Refused(request_id)
""",
            """\
        except Unavailable:
            return Accepted(request_id, False)
""",
        ),
    ),
    replaced(
        "refused-though-queued",
        "A click whose step to QUEUED fails is answered 503, though its message is sent.",
        "ingest.accept",
        (
            """\
        except Unavailable:
            return
        await self._announce""",
            """\
        except Unavailable:
            raise
        await self._announce""",
        ),
    ),
    replaced(
        "away-is-a-success",
        "What is not tried because its service is away counts as done.",
        "ingest.calls",
        (
            """\
            results = await breaker.call(send, batch)
""",
            """\
            if breaker.refuses:
                return [True] * len(batch)
            results = await breaker.call(send, batch)
""",
        ),
    ),
    replaced(
        "failed-insert-goes-on",
        "A click whose insert fails is sent and accepted with the others of its moment.",
        "ingest.aws_gateway",
        ("if is_new is True:", "if is_new is not False:"),
    ),
    replaced(
        "failed-send-goes-on",
        "A click whose message the queue did not take is marked and accepted with the others.",
        "ingest.aws_gateway",
        ("if isinstance(message_id, Exception):", "if message_id is None:"),
    ),
    replaced(
        "equal-click-does-not-wait",
        "A click whose equal is under way is answered 202 without waiting for what becomes of it.",
        "ingest.accept",
        ("if isinstance(await first.wait(), Accepted):", "if True:"),
    ),
    replaced(
        "request-for-each-click",
        "Each click makes a request of its own: a user may take two seats.",
        "ingest.accept",
        (
            "keys.request_id(event.event_id, user_id)",
            'keys.request_id(event.event_id, f"{user_id} {self._clock_ms()}")',
        ),
    ),
    replaced(
        "lost-insert-not-sent",
        "A click whose insert took effect without an answer finds its own request, and sends "
        "no message.",
        "ingest.accept",
        (
            "if request.status is Status.RECEIVED:",
            "if insertion.is_new and request.status is Status.RECEIVED:",
        ),
    ),
)
