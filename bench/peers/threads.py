"""Peer: boto3 with a pool of sixteen threads, one message per thread and one call per step."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import orjson
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.peers import steps

THREADS = 16


class Worker:
    """Handles each message by itself: three updates, one event, one delete."""

    def __init__(self) -> None:
        config = Config(max_pool_connections=THREADS + 1)
        clients: dict[str, Any] = {
            service: boto3.client(
                service, endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=config
            )
            for service in ("sqs", "dynamodb", "events")
        }
        self._sqs, self._dynamodb, self._events = clients.values()
        self._free = threading.Semaphore(THREADS * 2)

    def poll(self, pool: ThreadPoolExecutor) -> None:
        """Receive until killed, and hand every message to the pool."""
        while True:
            answer = self._sqs.receive_message(**steps.RECEIVE)
            for message in answer.get("Messages", []):
                self._free.acquire()
                pool.submit(self._handle, message).add_done_callback(lambda _: self._free.release())

    def _handle(self, message: dict[str, str]) -> None:
        request = orjson.loads(message["Body"])
        started_at = int(time.time() * 1000)
        self._dynamodb.update_item(**steps.start(request, started_at))
        try:
            self._dynamodb.update_item(**steps.take_seat(request, started_at))
            seated = True
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            seated = False
        finished_at = int(time.time() * 1000)
        self._dynamodb.update_item(**steps.finish(request, finished_at, seated=seated))
        entry = steps.entry(request, started_at, finished_at, seated=seated)
        self._events.put_events(Entries=[entry])
        self._sqs.delete_message(QueueUrl=steps.QUEUE_URL, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    with ThreadPoolExecutor(THREADS) as threads:
        Worker().poll(threads)
