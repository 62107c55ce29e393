"""Mutations of the way to the queue and back: leases, credits, acknowledgements, and the drain."""

from typing import Final

from tests.simulation.mutants.mutation import replaced

CHANNEL: Final = (
    replaced(
        "credits-with-the-queued-delete",
        "Credits are given back when a delete is queued, and not when it is confirmed.",
        "worker.channel",
        (
            """\
        left = await self._delete_once(deliveries)
""",
            """\
        self._free(len(deliveries))
        left = await self._delete_once(deliveries)
""",
        ),
        (
            """\
            self.leases.release(delivery)
        self._free(len(deliveries))

""",
            """\
            self.leases.release(delivery)

""",
        ),
    ),
    replaced(
        "delete-failures-ignored",
        "Entries of a delete that fail alone are taken for deleted.",
        "worker.channel",
        ("if not any(errors):", "if not all(errors):"),
    ),
    replaced(
        "lease-beside-the-hand-back",
        "A lease ends when its hand-back is confirmed, and hand-backs wait to share a call: "
        "an extension overtakes them.",
        "worker.channel",
        (
            "visibility = BatchLimits(max_items=SQS_BATCH_ENTRIES, concurrency=1)",
            "visibility = BatchLimits(max_items=10, linger_s=1.0, concurrency=1)",
        ),
        (
            """\
        for delivery in deliveries:
            self.leases.release(delivery)
        changes =""",
            "        changes =",
        ),
        (
            """\
        self._free(len(deliveries))

    def _let_go""",
            """\
        for delivery in deliveries:
            self.leases.release(delivery)
        self._free(len(deliveries))

    def _let_go""",
        ),
    ),
    replaced(
        "lease-after-the-hand-back",
        "What is handed back is extended on.",
        "worker.channel",
        (
            """\
        for delivery in deliveries:
            self.leases.release(delivery)
        changes =""",
            "        changes =",
        ),
    ),
    replaced(
        "hand-back-forgotten",
        "What is not settled here is let go without being made visible to others.",
        "worker.channel",
        (
            "in await self._visibility.submit_many(list(changes)):",
            "in list(changes)[:0]:",
        ),
    ),
    replaced(
        "leases-not-extended",
        "A lease is not extended: it runs out while its messages are worked on.",
        "worker.leases",
        (
            "tasks.start_soon(self._extend, heapq.heappop(self._heap))",
            "heapq.heappop(self._heap)",
        ),
    ),
    replaced(
        "lease-ends-before-the-publish",
        "A lease ends when its messages are decided, before they are published and deleted.",
        "worker.settle",
        (
            """\
        await self._publisher.publish(self._events_of(decided))
""",
            """\
        for delivery in deliveries:
            self._channel.leases.release(delivery)
        await self._publisher.publish(self._events_of(decided))
""",
        ),
    ),
)

SETTLE: Final = (
    replaced(
        "acknowledged-before-published",
        "A message is deleted before its event is published.",
        "worker.settle",
        (
            """\
        await self._publisher.publish(self._events_of(decided))
        await self._channel.delete(deliveries)
""",
            """\
        await self._channel.delete(deliveries)
        await self._publisher.publish(self._events_of(decided))
""",
        ),
    ),
    replaced(
        "redelivery-without-event",
        "A redelivery is acknowledged without publishing the event again.",
        "worker.settle",
        (
            "publish(self._events_of(decided))",
            "publish(self._events_of([d for d in decided if d.by_this_worker]))",
        ),
    ),
    replaced(
        "undecided-acknowledged",
        "What could not be decided is deleted instead of being handed back.",
        "worker.settle",
        (
            """\
        await self._retry_later(deliveries)

    def _is_last_try""",
            """\
        await self._channel.delete(deliveries)

    def _is_last_try""",
        ),
    ),
    replaced(
        "quarantine-without-copy",
        "A defective message is deleted without a copy in the DLQ.",
        "worker.settle",
        ("await self._quarantine.submit(copy)", "pass"),
    ),
    replaced(
        "quarantine-failure-ignored",
        "A defective message is deleted though its copy could not be sent.",
        "worker.settle",
        (
            """\
            await self._retry_later([delivery])
            return
""",
            "",
        ),
    ),
)

RECEIVE: Final = (
    replaced(
        "poll-cancelled",
        "A stop cancels the polls under way, to which SQS may have assigned messages.",
        "worker.receive",
        (
            """\
            received = await self.channel.queue.receive(
                taken, settings.receive_wait_s, settings.visibility_timeout_s
            )
""",
            """\
            with self.parts.stop.interrupts():
                received = await self.channel.queue.receive(
                    taken, settings.receive_wait_s, settings.visibility_timeout_s
                )
""",
        ),
    ),
    replaced(
        "unstarted-dropped",
        "What a stop kept from being started is let go without being made visible to others.",
        "worker.process",
        (
            """\
            await self.settler.return_now(unstarted)
""",
            """\
            for delivery in unstarted:
                self.settler._channel.leases.release(delivery)
""",
        ),
    ),
    replaced(
        "drain-without-deadline",
        "A drain has no deadline.",
        "worker.draining",
        (
            """\
        scope.deadline = anyio.current_time() + total_s - reserve_s
""",
            "",
        ),
    ),
)
