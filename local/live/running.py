"""The live page of a running stack: its data, its buttons and its server, until the block ends."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import orjson

from local.faults.proxy import FaultProxy
from local.live.actions import Actions
from local.live.feed import Feed
from local.live.live import Live
from local.live.readings import Reader, reader_of
from local.live.server import Server
from local.live.snapshot import status
from local.pipeline_stack import PipelineStack

_INTERVAL_S: Final = 1.0


@asynccontextmanager
async def running(
    live: Live,
    stack: PipelineStack,
    proxy: FaultProxy,
    directory: Path,
    clock: Callable[[], int],
    port: int = 0,
) -> AsyncIterator[str]:
    """Serve the page of a stack; gives its URL. Raises LocalError for a port that is taken."""
    feed = Feed()
    async with reader_of(stack) as reader, anyio.create_task_group() as tasks:
        actions = Actions(live, stack, reader, proxy, directory, tasks, clock)
        async with Server(feed, actions).running(port) as url:
            tasks.start_soon(_keep_current, live, stack, reader, feed)
            yield url
        tasks.cancel_scope.cancel()


async def _keep_current(live: Live, stack: PipelineStack, reader: Reader, feed: Feed) -> None:
    while True:
        next_at = anyio.current_time() + _INTERVAL_S
        live.read(await reader.read(live.tally.event_id))
        now = live.snapshot(stack.firehose.delivered)
        feed.publish(orjson.dumps({"now": now, "status": status(now)}))
        await anyio.sleep_until(next_at)
