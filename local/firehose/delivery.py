"""Carries the records of one Firehose stream from its tap queue to S3, as Firehose would."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from random import Random
from typing import Final, TypeVar
from uuid import uuid4

import anyio
import structlog

from aws.client import Client
from aws.errors import Transient
from aws.queue import Delivery, Queue
from config.limits import SQS_BATCH_ENTRIES
from local.firehose import prefixes
from local.firehose.buffering import Batch, Buffer, Record
from local.firehose.settings import StreamSettings
from runtime.backoff import delay_s

T = TypeVar("T")

_RECEIVERS: Final = 4
_WRITERS: Final = 2
_DELETERS: Final = 4
_POLL_S: Final = 2
_VISIBILITY_MARGIN_S: Final = 300
"""A record held in the buffer must not become visible again before its object is stored."""
_FLUSH_POLL_S: Final = 0.02
_RETRY_BASE_S: Final = 0.1
_RETRY_MAX_S: Final = 5.0
_RANDOM: Final = Random()  # noqa: S311 - spreading load, not secrets

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivered:
    """How much has reached S3 and been acknowledged."""

    records: int = 0
    objects: int = 0
    bytes: int = 0

    def __add__(self, other: "Delivered") -> "Delivered":
        """Add two counts."""
        return Delivered(
            self.records + other.records, self.objects + other.objects, self.bytes + other.bytes
        )


class StreamDelivery:
    """Carries the records of one stream from its tap queue to S3."""

    def __init__(
        self,
        settings: StreamSettings,
        queue: Queue,
        s3: Client,
        buffer_interval_s: float | None = None,
        arrived: Callable[[str], None] = lambda _record: None,
    ) -> None:
        if buffer_interval_s is None:
            buffer_interval_s = settings.buffer_interval_s
        self.settings = settings
        self.delivered = Delivered()
        self._queue = queue
        self._s3 = s3
        self._arrived = arrived
        self._visibility_timeout_s = ceil(buffer_interval_s) + _VISIBILITY_MARGIN_S
        self._buffer = Buffer(settings.buffer_bytes, buffer_interval_s)
        self._held = 0
        self._has_records = anyio.Event()
        self._complete, self._to_write = anyio.create_memory_object_stream[Batch](_WRITERS)
        self._deleters = anyio.CapacityLimiter(_DELETERS)

    async def run(self) -> None:
        """Receive, gather and write until cancelled; raises Fatal where the bucket is gone."""
        with self._complete, self._to_write:
            async with anyio.create_task_group() as tasks:
                for _ in range(_RECEIVERS):
                    tasks.start_soon(self._receive)
                for _ in range(_WRITERS):
                    tasks.start_soon(self._write)
                tasks.start_soon(self._watch_age)

    async def flush(self) -> None:
        """Write everything that had arrived when this was called, without waiting for its age."""
        waiting = (await self._queue.describe()).approximate_messages
        target = self.delivered.records + waiting
        while waiting and self.delivered.records < target:
            # Once all of it has been received; any earlier, the objects would be needlessly small.
            if self._held >= min(waiting, target - self.delivered.records):
                await self._hand_over(self._buffer.take())
            await anyio.sleep(_FLUSH_POLL_S)
            waiting = (await self._queue.describe()).approximate_messages

    async def _receive(self) -> None:
        receive = partial(
            self._queue.receive, SQS_BATCH_ENTRIES, _POLL_S, self._visibility_timeout_s
        )
        while True:
            await self._gather(await _persistently("firehose_receive_failed", receive))

    async def _gather(self, deliveries: Sequence[Delivery]) -> None:
        now_s = time.monotonic()
        self._held += len(deliveries)
        complete = [
            batch
            for delivery in deliveries
            for batch in self._buffer.add(self._record(delivery), now_s)
        ]
        if deliveries:
            self._has_records.set()
        await self._hand_over(complete)

    def _record(self, delivery: Delivery) -> Record:
        self._arrived(delivery.body)
        data = delivery.body.encode() + self.settings.delimiter
        return Record(data, delivery.sent_at_ms, delivery.receipt_handle)

    async def _watch_age(self) -> None:
        while True:
            if self._buffer.due_at_s is None:
                self._has_records = anyio.Event()
                await self._has_records.wait()
            else:
                await anyio.sleep(max(0.0, self._buffer.due_at_s - time.monotonic()))
                await self._hand_over(self._buffer.take_due(time.monotonic()))

    async def _hand_over(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            await self._complete.send(batch)

    async def _write(self) -> None:
        async for batch in self._to_write:
            key, body = self._key(batch), batch.body
            put = partial(
                self._s3.call,
                "PutObject",
                Bucket=self.settings.bucket_name,
                Key=key,
                Body=body,
            )
            await _persistently("firehose_put_failed", put)
            # Only now: until its object is stored, a record is safe in the queue.
            await self._delete([record.receipt_handle for record in batch.records])
            self._held -= len(batch.records)
            self.delivered += Delivered(len(batch.records), 1, len(body))
            _log.debug("firehose_object_written", key=key, records=len(batch.records))

    def _key(self, batch: Batch) -> str:
        settings, arrived_at_ms = self.settings, batch.arrived_at_ms
        return prefixes.evaluate(settings.prefix, arrived_at_ms) + prefixes.object_name(
            settings.name, settings.version, arrived_at_ms, str(uuid4())
        )

    async def _delete(self, receipt_handles: Sequence[str]) -> None:
        async with anyio.create_task_group() as tasks:
            for start in range(0, len(receipt_handles), SQS_BATCH_ENTRIES):
                chunk = receipt_handles[start : start + SQS_BATCH_ENTRIES]
                tasks.start_soon(self._delete_chunk, chunk)

    async def _delete_chunk(self, receipt_handles: Sequence[str]) -> None:
        async with self._deleters:
            delete = partial(self._queue.delete, receipt_handles)
            results = await _persistently("firehose_delete_failed", delete)
        for error in results:
            if error is not None:
                # The record may come back and be stored twice; Firehose guarantees no more either.
                _log.warning("firehose_record_not_deleted", error=str(error))


async def _persistently(failure: str, call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call until it succeeds; an error that waiting cannot fix is raised."""
    attempt = 0
    while True:
        try:
            return await call()
        except Transient as error:
            attempt += 1
            _log.warning(failure, error=str(error), attempt=attempt)
            await anyio.sleep(delay_s(attempt, _RETRY_BASE_S, _RETRY_MAX_S, _RANDOM))
