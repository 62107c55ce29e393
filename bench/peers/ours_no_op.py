"""Our worker with its processing left out: receive, leases, credits and batched deletes only."""

from typing import Any

from anyio.abc import TaskGroup

from cli.worker import worker
from config.limits import SQS_BATCH_ENTRIES
from worker import pipeline
from worker.inbox import Inbox


class NoProcessing:
    """Stands where the processors stand, and has every delivery acknowledged as it comes."""

    def __init__(self, _parts: Any, _committer: Any, settler: Any, _processors: int) -> None:
        self._delete = settler._channel.delete  # noqa: SLF001 - the worker's acknowledgement

    async def run(self, inbox: Inbox, settling: TaskGroup) -> None:
        """Pass on what is received to be deleted."""
        while True:
            deliveries, _ = await inbox.take(SQS_BATCH_ENTRIES, linger_s=0, is_idle=lambda: True)
            if not deliveries:
                return
            settling.start_soon(self._delete, deliveries)


if __name__ == "__main__":
    vars(pipeline)["Processing"] = NoProcessing
    worker()
