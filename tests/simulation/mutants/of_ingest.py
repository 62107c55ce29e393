"""Mutations of ingest: what a click's 202 promises."""

from typing import Final

from tests.simulation.mutants.mutation import replaced

ACCEPT: Final = (
    replaced(
        "accepted-before-sent",
        "A click is answered 202 before its message is sent.",
        "ingest.aws_gateway",
        (
            "await self._retries[SEND].run(self._sends.submit, OutgoingMessage(message.encode()))",
            """\
self._background.start_soon(
            self._sends.submit_many, [OutgoingMessage(message.encode())]
        )""",
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
        except (CorruptItem, Unavailable):
            return
""",
            """\
        except CorruptItem:
            return
""",
        ),
    ),
    replaced(
        "away-is-a-success",
        "What is not tried because its service is away counts as done.",
        "ingest.retries",
        (
            """\
            await anyio.sleep(wait_s)
        raise Unavailable(self._step, "Away")
""",
            """\
            await anyio.sleep(wait_s)
        return None, attempt
""",
        ),
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
