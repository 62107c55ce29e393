"""Peer: loafer-ng, an empty handler."""

import asyncio
import os
from typing import Any

import uvloop
from loafer.ext.aws.routes import SQSRoute  # type: ignore[import-not-found]
from loafer.managers import LoaferManager  # type: ignore[import-not-found]


async def nothing(message: Any, metadata: Any) -> bool:  # noqa: ARG001
    """Do nothing, and have the message deleted."""
    return True


def main() -> None:
    """Work until the process is ended."""
    asyncio.set_event_loop(uvloop.new_event_loop())
    route = SQSRoute(
        os.environ["QUEUE_NAME"],
        {
            "options": {"WaitTimeSeconds": 10, "MaxNumberOfMessages": 10},
            "endpoint_url": os.environ["AWS_ENDPOINT_URL"],
            "region_name": os.environ["AWS_REGION"],
        },
        handler=nothing,
    )
    LoaferManager([route], _concurrency_limit=50).run()


if __name__ == "__main__":
    main()
