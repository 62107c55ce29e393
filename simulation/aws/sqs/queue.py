"""SQS queues in memory: long polls, visibility timeouts, batches; no dead-letter moves."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import md5
from typing import Any, Final

import orjson

from simulation.aws import errors
from simulation.aws.account import Account, Payload, Reply
from simulation.aws.sqs.messages import Message, wire

_MAX_BATCH: Final = 10
_DEFAULT_VISIBILITY_S: Final = 30.0


@dataclass(slots=True)
class _Poll:
    payload: Payload
    reply: Reply
    done: bool = False


class Queue:
    """One standard queue; `latencies_s` gathers receive-to-delete times as the client saw them."""

    _numbers = itertools.count(1)

    def __init__(self, name: str, account: Account) -> None:
        self.name = name
        self._account = account
        self._clock = account.clock
        self._ready: deque[Message] = deque()
        self._in_flight: dict[int, Message] = {}
        self._deadlines: list[tuple[float, tuple[int, ...]]] = []
        self._polls: deque[_Poll] = deque()
        self.sent = 0
        self.deleted = 0

    @property
    def waiting(self) -> int:
        """How many messages could be received now."""
        return len(self._ready)

    @property
    def in_flight(self) -> int:
        """How many are received and neither deleted nor visible again."""
        return len(self._in_flight)

    def message(self, body: str, attributes: Payload | None, sent_at_ms: int) -> Message:
        """Make a message without putting it in."""
        number = next(self._numbers)
        digest = md5(body.encode(), usedforsecurity=False).hexdigest()
        message_id = f"{number:08x}-0000-4000-8000-000000000000"
        return Message(number, message_id, body, digest, attributes, str(sent_at_ms))

    def release(self, messages: Collection[Message]) -> None:
        """Put prepared messages in and wake the long polls."""
        self._ready.extend(messages)
        self.sent += len(messages)
        while self._polls and self._ready:
            poll = self._polls.popleft()
            if not poll.done:
                poll.done = True
                poll.reply(self._take(poll.payload))

    def receive_message(self, payload: Payload, reply: Reply) -> None:
        """ReceiveMessage: waits, while there is nothing, until something comes or time is up."""
        if payload.get("MaxNumberOfMessages", 1) > _MAX_BATCH:
            raise errors.queue_error("InvalidParameterValue", "MaxNumberOfMessages is 1 to 10")
        wait_s = payload.get("WaitTimeSeconds", 0)
        self._expire()
        if self._ready or not wait_s:
            reply(self._take(payload))
            return
        poll = _Poll(payload, reply)
        self._polls.append(poll)
        self._clock.call_later(wait_s, lambda: self._give_up(poll))

    def tick(self) -> None:
        """Make messages visible again whose time is up, and wake the long polls for them."""
        self._expire()
        self.release(())

    def send_message(self, payload: Payload) -> dict[str, Any]:
        """SendMessage."""
        sent: list[Message] = []
        answer = self._send(payload, sent)
        self.release(sent)
        return answer

    def send_message_batch(self, payload: Payload) -> dict[str, Any]:
        """SendMessageBatch."""
        sent: list[Message] = []
        answer = _batch(payload, lambda entry: self._send(entry, sent))
        self.release(sent)
        return answer

    def _send(self, entry: Payload, sent: list[Message]) -> dict[str, Any]:
        now_ms = self._clock.epoch_ms()
        message = self.message(entry["MessageBody"], entry.get("MessageAttributes"), now_ms)
        sent.append(message)
        return {"MessageId": message.message_id, "MD5OfMessageBody": message.body_md5}

    def delete_message(self, payload: Payload) -> dict[str, Any]:
        """DeleteMessage; deleting twice succeeds."""
        message = self._in_flight.pop(_number(payload), None)
        if message is not None:
            self._confirm([message])
        return {}

    def delete_message_batch(self, payload: Payload) -> dict[str, Any]:
        """DeleteMessageBatch."""
        gone: list[Message] = []
        successful, failed = [], []
        for entry in _entries(payload):
            try:
                message = self._in_flight.pop(_number(entry), None)
            except errors.ServiceError as error:
                failed.append(_failure(entry, error))
                continue
            successful.append({"Id": entry["Id"]})
            if message is not None:
                gone.append(message)
        self._confirm(gone)
        return _results(successful, failed)

    def _confirm(self, gone: Collection[Message]) -> None:
        """Count deleted messages."""
        if gone:
            self.deleted += len(gone)
            observer = self._account.observer
            if observer is not None:
                for message in gone:
                    observer.deleted(self.name, message)

    def change_message_visibility(self, payload: Payload) -> dict[str, Any]:
        """ChangeMessageVisibility of a message in flight."""
        message = self._in_flight.get(_number(payload))
        if message is None:
            raise errors.queue_error("MessageNotInflight", "The message is not in flight")
        self._set_visibility([message], payload["VisibilityTimeout"])
        self.tick()
        return {}

    def change_message_visibility_batch(self, payload: Payload) -> dict[str, Any]:
        """ChangeMessageVisibilityBatch."""
        return _batch(payload, self.change_message_visibility)

    def get_queue_attributes(self, payload: Payload) -> dict[str, Any]:
        """GetQueueAttributes: those that programs read at start."""
        return {
            "Attributes": {
                "QueueArn": self._account.arn("sqs", self.name),
                "ApproximateNumberOfMessages": str(self.waiting),
                "ApproximateNumberOfMessagesNotVisible": str(self.in_flight),
                "ApproximateNumberOfMessagesDelayed": "0",
                "VisibilityTimeout": "30",
            }
        }

    def _take(self, payload: Payload) -> dict[str, Any]:
        count = min(payload.get("MaxNumberOfMessages", 1), len(self._ready))
        taken = [self._ready.popleft() for _ in range(count)]
        # AWS leaves the key out when nothing came.
        if not taken:
            return {}
        observer = self._account.observer
        for message in taken:
            message.receive_count += 1
            self._in_flight[message.number] = message
        self._set_visibility(taken, payload.get("VisibilityTimeout", _DEFAULT_VISIBILITY_S))
        if observer is not None:
            for message in taken:
                observer.received(self.name, message)
        wanted = (
            *payload.get("AttributeNames", ()),
            *payload.get("MessageSystemAttributeNames", ()),
        )
        with_attributes = bool(payload.get("MessageAttributeNames"))
        wires = [wire(message, wanted, with_attributes=with_attributes) for message in taken]
        return {"Messages": orjson.Fragment(f"[{','.join(wires)}]")}

    def _give_up(self, poll: _Poll) -> None:
        if not poll.done:
            poll.done = True
            self._expire()
            poll.reply(self._take(poll.payload))

    def _set_visibility(self, messages: Collection[Message], seconds: float) -> None:
        visible_at = self._clock.time() + seconds
        for message in messages:
            message.visible_at = visible_at
        # One entry for all that come back at one time.
        numbers = tuple([message.number for message in messages])
        heapq.heappush(self._deadlines, (visible_at, numbers))

    def _expire(self) -> None:
        now = self._clock.time()
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, numbers = heapq.heappop(self._deadlines)
            for number in numbers:
                message = self._in_flight.get(number)
                if message is not None and message.visible_at == deadline:
                    del self._in_flight[number]
                    self._ready.append(message)


def _number(payload: Payload) -> int:
    number, _, rest = payload["ReceiptHandle"].partition(":")
    if not number.isdecimal() or not rest:
        raise errors.queue_error("ReceiptHandleIsInvalid", "The receipt handle is not valid")
    return int(number)


def _batch(payload: Payload, apply: Callable[[Payload], dict[str, Any]]) -> dict[str, Any]:
    successful, failed = [], []
    for entry in _entries(payload):
        try:
            successful.append({"Id": entry["Id"], **apply(entry)})
        except errors.ServiceError as error:
            failed.append(_failure(entry, error))
    return _results(successful, failed)


def _entries(payload: Payload) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = payload["Entries"]
    if not entries:
        raise errors.queue_error("EmptyBatchRequest", "The batch request holds no entry.")
    if len(entries) > _MAX_BATCH:
        raise errors.queue_error("TooManyEntriesInBatchRequest", "More than 10 entries.")
    if len({entry["Id"] for entry in entries}) != len(entries):
        raise errors.queue_error("BatchEntryIdsNotDistinct", "Two entries have the same Id.")
    return entries


def _failure(entry: Payload, error: errors.ServiceError) -> dict[str, Any]:
    code = error.document["__type"].rpartition("#")[2]
    message = error.document["message"]
    return {"Id": entry["Id"], "SenderFault": True, "Code": code, "Message": message}


def _results(
    successful: list[dict[str, Any]], failed: list[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    return {"Successful": successful, "Failed": failed} if failed else {"Successful": successful}
