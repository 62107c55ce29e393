"""The services behind one port: which operation goes where, how long it takes, and the counts."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import orjson

from bench.stub import errors
from bench.stub.dynamodb import Table
from bench.stub.events import Bus
from bench.stub.http import Responder
from bench.stub.sqs import Queue

Payload: TypeAlias = Mapping[str, Any]
Handler: TypeAlias = Callable[[Payload], Mapping[str, Any]]

TABLE_NAME: Final = "AsyncEventTable"
BUS_NAME: Final = "default"
ACCOUNT: Final = "000000000000"

_TICK_S: Final = 0.25
_QUEUE_OPERATIONS: Final = {
    "SendMessage": Queue.send_message,
    "SendMessageBatch": Queue.send_message_batch,
    "DeleteMessage": Queue.delete_message,
    "DeleteMessageBatch": Queue.delete_message_batch,
    "ChangeMessageVisibility": Queue.change_message_visibility,
    "ChangeMessageVisibilityBatch": Queue.change_message_visibility_batch,
    "GetQueueAttributes": Queue.get_queue_attributes,
}
_TABLE_OPERATIONS: Final = {
    "GetItem": Table.get_item,
    "BatchGetItem": Table.batch_get_item,
    "PutItem": Table.put_item,
    "UpdateItem": Table.update_item,
    "DeleteItem": Table.delete_item,
    "TransactWriteItems": Table.transact_write_items,
    "BatchExecuteStatement": Table.batch_execute_statement,
    "Query": Table.query,
    "DescribeTable": Table.describe_table,
}
_BUS_OPERATIONS: Final = {
    "PutEvents": Bus.put_events,
    "DescribeEventBus": Bus.describe_event_bus,
}

logger = logging.getLogger(__name__)


class Service:
    """All state of the stand-in."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.latencies_s: dict[str, float] = {}
        self.default_latency_s = 0.0
        self.calls: Counter[str] = Counter()
        self.clear()
        loop.call_later(_TICK_S, self._tick)

    def clear(self) -> None:
        """Forget all items, messages and events."""
        self.table = Table(TABLE_NAME)
        self.bus = Bus(BUS_NAME)
        self.queues: dict[str, Queue] = {}
        self._handlers: dict[str, Handler] = {
            **{
                f"DynamoDB_20120810.{name}": partial(operation, self.table)
                for name, operation in _TABLE_OPERATIONS.items()
            },
            **{
                f"AWSEvents.{name}": partial(operation, self.bus)
                for name, operation in _BUS_OPERATIONS.items()
            },
            **{
                f"AmazonSQS.{name}": partial(self._on_queue, operation)
                for name, operation in _QUEUE_OPERATIONS.items()
            },
            "AmazonSQS.CreateQueue": self._create_queue,
            "AmazonSQS.GetQueueUrl": self._get_queue_url,
            "AmazonSQS.ListQueues": self._list_queues,
        }

    def latency_s(self, operation: str) -> float:
        """How long an operation takes, in seconds, beyond the work itself."""
        return self.latencies_s.get(operation, self.default_latency_s)

    def queue(self, name: str) -> Queue:
        """A queue by its name, made if it is not there."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = Queue(self.loop.call_later, self.latency_s)
        return queue

    def handle(self, target: str, body: bytes, respond: Responder) -> None:
        """Answer an AWS call, whose operation (`X-Amz-Target`) is `target`."""
        operation = target.rpartition(".")[2]
        self.calls[operation] += 1
        latency_s = self.latencies_s.get(operation, self.default_latency_s)

        def reply(answer: Mapping[str, Any], status: int = 200) -> None:
            document = orjson.dumps(answer)
            if latency_s:
                self.loop.call_later(latency_s, respond, status, document)
            else:
                respond(status, document)

        try:
            payload = orjson.loads(body)
            if target == "AmazonSQS.ReceiveMessage":
                self._existing(payload).receive_message(payload, reply)
            else:
                reply(self._handlers[target](payload))
        except errors.ServiceError as error:
            reply(error.document, error.status)
        except KeyError as error:
            known = target in self._handlers
            missing = errors.validation(f"{operation}: {error} is missing")
            reply((missing if known else errors.unknown_operation(target)).document, 400)
        except Exception:  # a defect of the stand-in must be seen, not hang the client
            logger.exception("failed: %s %s", target, body[:2000])
            reply({"__type": "InternalFailure", "message": "see the stand-in's log"}, 500)

    def _existing(self, payload: Payload) -> Queue:
        queue = self.queues.get(payload["QueueUrl"].rpartition("/")[2])
        if queue is None:
            raise errors.no_queue()
        return queue

    def _on_queue(
        self, operation: Callable[[Queue, Payload], Mapping[str, Any]], payload: Payload
    ) -> Mapping[str, Any]:
        return operation(self._existing(payload), payload)

    def _create_queue(self, payload: Payload) -> Mapping[str, Any]:
        self.queue(payload["QueueName"])
        return {"QueueUrl": queue_path(payload["QueueName"])}

    def _get_queue_url(self, payload: Payload) -> Mapping[str, Any]:
        if payload["QueueName"] not in self.queues:
            raise errors.no_queue()
        return {"QueueUrl": queue_path(payload["QueueName"])}

    def _list_queues(self, payload: Payload) -> Mapping[str, Any]:
        prefix = payload.get("QueueNamePrefix", "")
        return {"QueueUrls": [queue_path(n) for n in self.queues if n.startswith(prefix)]}

    def _tick(self) -> None:
        for queue in self.queues.values():
            queue.tick()
        self.loop.call_later(_TICK_S, self._tick)


def queue_path(name: str) -> str:
    """The URL of a queue, whose host SDKs replace by the endpoint that they were given."""
    return f"http://stub.invalid/{ACCOUNT}/{name}"
