"""Peer: taskiq with its SQS broker, an empty task; `send` queues one message of its own."""

import asyncio
import os
import sys
from typing import Any

import uvloop
from taskiq.api import run_receiver_task  # type: ignore[import-not-found]
from taskiq_aio_sqs import SQSBroker  # type: ignore[import-not-found]


async def nothing(request_id: str, event_id: str, user_id: str) -> None:
    """Do nothing."""


async def main(*, send: bool) -> None:
    """Send one message, or work until the process is ended."""
    broker: Any = SQSBroker(
        os.environ["QUEUE_NAME"],
        endpoint_url=os.environ["AWS_ENDPOINT_URL"],
        region_name=os.environ["AWS_REGION"],
        max_number_of_messages=10,
        wait_time_seconds=10,
    )
    task = broker.register_task(nothing, task_name="nothing")
    await broker.startup()
    if send:
        await task.kiq("r" * 36, "event-0", "user-0000001")
        await broker.shutdown()
    else:
        await run_receiver_task(broker, max_async_tasks=100, max_prefetch=100)


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main(send="send" in sys.argv))
