"""Peer: aioboto3 as the tutorials use it, one coroutine per message and one call per step."""

import asyncio
import os
import time

import aioboto3
import orjson
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from bench.peers import steps

CONCURRENCY = 50
POLLERS = 4


class Worker:
    """Handles each message by itself: three updates, one event, one delete."""

    def __init__(self, sqs: object, dynamodb: object, events: object) -> None:
        self._sqs = sqs
        self._dynamodb = dynamodb
        self._events = events
        self._free = asyncio.Semaphore(CONCURRENCY)

    async def poll(self, tasks: asyncio.TaskGroup) -> None:
        """Receive until killed, and start a task for every message."""
        while True:
            answer = await self._sqs.receive_message(**steps.RECEIVE)  # type: ignore[attr-defined]
            for message in answer.get("Messages", []):
                await self._free.acquire()
                tasks.create_task(self._handle(message))

    async def _handle(self, message: dict[str, str]) -> None:
        try:
            request = orjson.loads(message["Body"])
            started_at = int(time.time() * 1000)
            await self._update(steps.start(request, started_at))
            try:
                await self._update(steps.take_seat(request, started_at))
                seated = True
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                seated = False
            finished_at = int(time.time() * 1000)
            await self._update(steps.finish(request, finished_at, seated=seated))
            await self._events.put_events(  # type: ignore[attr-defined]
                Entries=[steps.entry(request, started_at, finished_at, seated=seated)]
            )
            await self._sqs.delete_message(  # type: ignore[attr-defined]
                QueueUrl=steps.QUEUE_URL, ReceiptHandle=message["ReceiptHandle"]
            )
        finally:
            self._free.release()

    async def _update(self, parameters: dict[str, object]) -> None:
        await self._dynamodb.update_item(**parameters)  # type: ignore[attr-defined]


async def main() -> None:
    """Work until the process is ended."""
    session = aioboto3.Session()
    config = AioConfig(max_pool_connections=CONCURRENCY + POLLERS)
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    async with (
        session.client("sqs", endpoint_url=endpoint, config=config) as sqs,
        session.client("dynamodb", endpoint_url=endpoint, config=config) as dynamodb,
        session.client("events", endpoint_url=endpoint, config=config) as events,
        asyncio.TaskGroup() as tasks,
    ):
        worker = Worker(sqs, dynamodb, events)
        for _ in range(POLLERS):
            tasks.create_task(worker.poll(tasks))


if __name__ == "__main__":
    asyncio.run(main())
