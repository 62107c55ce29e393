"""The services of one account in one region: which operation goes where, and the counts."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Any, Final, TypeAlias

import orjson

from simulation.aws import errors
from simulation.aws.account import ACCOUNT, Account, Payload, Reply
from simulation.aws.dynamodb.table import Table
from simulation.aws.errors import ServiceError
from simulation.aws.eventbridge import Bus
from simulation.aws.sqs.attributes import create_queue, get_queue_attributes
from simulation.aws.sqs.queue import Queue

Respond: TypeAlias = Callable[[int, bytes], None]
"""Takes the HTTP status and the document of an answer, now or later."""
Handler: TypeAlias = Callable[[Payload], Mapping[str, Any]]
SlowHandler: TypeAlias = Callable[[Payload, Reply], None]

TABLE_NAME: Final = "AsyncEventTable"
BUS_NAME: Final = "default"

_QUEUE_OPERATIONS: Final = {
    "SendMessage": Queue.send_message,
    "SendMessageBatch": Queue.send_message_batch,
    "DeleteMessage": Queue.delete_message,
    "DeleteMessageBatch": Queue.delete_message_batch,
    "ChangeMessageVisibility": Queue.change_message_visibility,
    "ChangeMessageVisibilityBatch": Queue.change_message_visibility_batch,
    "GetQueueAttributes": get_queue_attributes,
}
_TABLE_OPERATIONS: Final = {
    "GetItem": Table.get_item,
    "BatchGetItem": Table.batch_get_item,
    "PutItem": Table.put_item,
    "UpdateItem": Table.update_item,
    "DeleteItem": Table.delete_item,
    "BatchExecuteStatement": Table.batch_execute_statement,
    "Query": Table.query,
    "DescribeTable": Table.describe_table,
}
_BUS_OPERATIONS: Final = {
    "PutEvents": Bus.put_events,
    "DescribeEventBus": Bus.describe_event_bus,
}

logger = logging.getLogger(__name__)


class Cloud:
    """All state of the services; `handle` is their one door, whoever calls and by what wire."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.calls: Counter[str] = Counter()
        self._numbers = count(1)
        self.clear()

    def clear(self) -> None:
        """Forget all items, messages and events."""
        self.table = Table(TABLE_NAME, self.account)
        self.bus = Bus(BUS_NAME, self.account)
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
        self._slow_handlers: dict[str, SlowHandler] = {
            "AmazonSQS.ReceiveMessage": self._receive_message,
            "DynamoDB_20120810.TransactWriteItems": self.table.transact_write_items,
        }

    def queue(self, name: str) -> Queue:
        """A queue by its name, made if it is not there."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = Queue(name, self.account, self._numbers)
        return queue

    def handle(self, target: str, body: bytes, respond: Respond) -> None:
        """Take an AWS call, whose operation (`X-Amz-Target`) is `target`, and answer it."""
        operation = target.rpartition(".")[2]
        self.calls[operation] += 1

        def reply(answer: Mapping[str, Any] | ServiceError) -> None:
            if isinstance(answer, ServiceError):
                respond(answer.status, orjson.dumps(answer.document))
            else:
                respond(200, orjson.dumps(answer))

        try:
            payload = orjson.loads(body)
            slow = self._slow_handlers.get(target)
            if slow is not None:
                slow(payload, reply)
                return
            handler = self._handlers.get(target)
            reply(errors.unknown_operation(target) if handler is None else handler(payload))
        except errors.ServiceError as error:
            reply(error)
        except Exception as error:
            is_missing = isinstance(error, KeyError)
            if self.account.failed is not None:
                self.account.failed(operation, error)
            elif not is_missing:
                logger.exception("failed: %s %s", target, body[:2000])
            missing = errors.validation(f"{operation}: {error} is missing")
            reply(missing if is_missing else errors.internal_failure())

    def _existing(self, payload: Payload) -> Queue:
        queue = self.queues.get(payload["QueueUrl"].rpartition("/")[2])
        if queue is None:
            raise errors.no_queue()
        return queue

    def _receive_message(self, payload: Payload, reply: Reply) -> None:
        self._existing(payload).receive_message(payload, reply)

    def _on_queue(
        self, operation: Callable[[Queue, Payload], Mapping[str, Any]], payload: Payload
    ) -> Mapping[str, Any]:
        return operation(self._existing(payload), payload)

    def _create_queue(self, payload: Payload) -> Mapping[str, Any]:
        name = payload["QueueName"]
        made = create_queue(payload, self.queues, self.account, self._numbers)
        queue = self.queues.setdefault(name, made)
        if "Attributes" in payload and made.settings != queue.settings:
            raise errors.queue_error("QueueNameExists", f"{name} exists with other attributes.")
        return {"QueueUrl": queue_url(name)}

    def _get_queue_url(self, payload: Payload) -> Mapping[str, Any]:
        if payload["QueueName"] not in self.queues:
            raise errors.no_queue()
        return {"QueueUrl": queue_url(payload["QueueName"])}

    def _list_queues(self, payload: Payload) -> Mapping[str, Any]:
        prefix = payload.get("QueueNamePrefix", "")
        return {"QueueUrls": [queue_url(n) for n in self.queues if n.startswith(prefix)]}


def queue_url(name: str) -> str:
    """The URL of a queue, whose host SDKs replace by the endpoint that they were given."""
    return f"http://sqs.invalid/{ACCOUNT}/{name}"
