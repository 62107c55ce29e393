"""Peer: Celery over SQS, an empty task in the solo pool; `send` queues one message of its own."""

import os
import sys
from typing import Any
from urllib.parse import urlsplit

from celery import Celery  # type: ignore[import-not-found]


def nothing(request_id: str, event_id: str, user_id: str) -> None:
    """Do nothing."""


def main(*, send: bool) -> None:
    """Send one message, or work until the process is ended."""
    queue = os.environ["QUEUE_NAME"]
    endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    app: Any = Celery("bench", broker=f"sqs://{keys[0]}:{keys[1]}@{endpoint.netloc}")
    app.conf.update(
        task_default_queue=queue,
        task_ignore_result=True,
        worker_prefetch_multiplier=100,
        broker_transport_options={
            "region": os.environ["AWS_REGION"],
            "is_secure": False,
            "wait_time_seconds": 10,
            "predefined_queues": {
                queue: {
                    "url": os.environ["QUEUE_URL"],
                    "access_key_id": keys[0],
                    "secret_access_key": keys[1],
                }
            },
        },
    )
    task = app.task(nothing, name="nothing")
    if send:
        task.delay("r" * 36, "event-0", "user-0000001")
    else:
        options = ["--pool=solo", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        app.worker_main(["worker", "--loglevel=WARNING", *options])


if __name__ == "__main__":
    main(send="send" in sys.argv)
