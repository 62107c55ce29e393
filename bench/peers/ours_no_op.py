"""Our worker with its processing left out: receive, leases, credits and batched deletes only."""

from typing import Any

from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream

from aws.queue import Delivery
from cli.worker import worker
from worker import pipeline


class NoProcessing:
    """Stands where the processors stand, and has every delivery acknowledged as it comes."""

    def __init__(self, *, settler: Any, **_: Any) -> None:
        self._delete = settler._delete  # noqa: SLF001 - the very acknowledgement of the worker

    async def run(
        self, stream: MemoryObjectReceiveStream[list[Delivery]], settling: TaskGroup
    ) -> None:
        """Pass each received list on to be deleted."""
        async with stream:
            async for deliveries in stream:
                settling.start_soon(self._delete, deliveries)


if __name__ == "__main__":
    vars(pipeline)["Processing"] = NoProcessing
    worker()
