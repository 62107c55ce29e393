"""One SQS standard queue: its operations, long polls, and the way to the dead-letter queue."""

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from hashlib import md5
from typing import Any, Final

from simulation.aws import errors
from simulation.aws.account import Account, Payload, Reply
from simulation.aws.observer import Observer
from simulation.aws.sqs.backlog import Backlog
from simulation.aws.sqs.entries import (
    apply_each,
    check_content,
    check_size,
    failed_receipts,
    receipt_of,
    within,
)
from simulation.aws.sqs.messages import Message, answer

_MAX_RECEIVED: Final = 10
_MAX_WAIT_S: Final = 20
MAX_VISIBILITY_S: Final = 43_200
DEFAULT_VISIBILITY_S: Final = 30


@dataclass(frozen=True, slots=True)
class Redrive:
    """A queue's redrive policy: after how many receives a message goes where."""

    target: "Queue"
    max_receive_count: int


@dataclass(slots=True)
class _Poll:
    payload: Payload
    reply: Reply
    caller: str
    done: bool = False


class Queue:
    """A queue; `numbers` counts the messages of all queues of a cloud."""

    def __init__(
        self,
        name: str,
        account: Account,
        numbers: Iterator[int],
        *,
        visibility_timeout_s: int = DEFAULT_VISIBILITY_S,
        redrive: Redrive | None = None,
    ) -> None:
        self.name = name
        self.arn = account.arn("sqs", name)
        self.visibility_timeout_s = visibility_timeout_s
        self.redrive = redrive
        self._account = account
        self._numbers = numbers
        self._backlog = Backlog(
            account.clock, self._serve, account.random if account.unordered else None
        )
        self._polls: deque[_Poll] = deque()
        self.sent = 0
        self.deleted = 0

    @property
    def settings(self) -> tuple[int, Redrive | None]:
        """What two queues of one name would have to agree in."""
        return self.visibility_timeout_s, self.redrive

    @property
    def waiting(self) -> int:
        """How many messages could be received now."""
        return self._backlog.waiting

    @property
    def in_flight(self) -> int:
        """How many are received and neither deleted nor visible again."""
        return self._backlog.in_flight

    def message(self, body: str, attributes: Payload | None, sent_at_ms: int) -> Message:
        """Make a message without putting it in; raises ServiceError for one that SQS refuses."""
        encoded = body.encode()
        check_content(body, encoded, attributes)
        number = next(self._numbers)
        digest = md5(encoded, usedforsecurity=False).hexdigest()
        message_id = f"{number:08x}-0000-4000-8000-000000000000"
        return Message(number, message_id, body, digest, attributes, str(sent_at_ms))

    def release(self, messages: Collection[Message]) -> None:
        """Put prepared messages in and wake the long polls."""
        self.sent += len(messages)
        observer = self._account.observer
        if observer is not None and observer.watches(Observer.sent):
            for message in messages:
                observer.sent(self.name, message)
        self._put(messages)

    def _put(self, messages: Collection[Message]) -> None:
        self._backlog.add(messages)
        self._serve()

    def receive_message(self, payload: Payload, reply: Reply) -> None:
        """ReceiveMessage: waits, while there is nothing, until something comes or time is up.

        At the limit of messages in flight a short poll fails with OverLimit, and a long poll
        waits and comes back empty (Amazon SQS Developer Guide, "Amazon SQS standard queue quotas").
        """
        wait_s = within(payload, "WaitTimeSeconds", 0, 0, _MAX_WAIT_S)
        within(payload, "MaxNumberOfMessages", 1, 1, _MAX_RECEIVED)
        within(payload, "VisibilityTimeout", 0, 0, MAX_VISIBILITY_S)
        self._backlog.expire()
        taken = self._take(payload, is_long=wait_s > 0)
        if not taken and self.waiting and self._room(1) == 0:
            if self._account.observer is not None:
                self._account.observer.throttled("in_flight_messages", self.arn)
            if not wait_s:
                raise errors.queue_error("OverLimit", "Too many messages are in flight.")
        if taken or not wait_s:
            reply(answer(payload, taken))
            return
        poll = _Poll(payload, reply, self._account.caller)
        self._polls.append(poll)
        self._account.clock.call_later(wait_s, self._give_up, poll)

    def _serve(self) -> None:
        """Answer long polls for as long as there is something to hand out."""
        caller = self._account.caller
        while self._polls and self._backlog.waiting:
            poll = self._polls[0]
            if not poll.done:
                self._account.caller = poll.caller
                taken = self._take(poll.payload, is_long=True)
                self._account.caller = caller
                if not taken:
                    return
                poll.done = True
                poll.reply(answer(poll.payload, taken))
            self._polls.popleft()

    def _give_up(self, poll: _Poll) -> None:
        if not poll.done:
            poll.done = True
            poll.reply({})

    def _take(self, payload: Payload, *, is_long: bool) -> list[Message]:
        """Hand out what a receive gets."""
        taken = self._choose(self._room(payload.get("MaxNumberOfMessages", 1)), is_long=is_long)
        if not taken:
            return []
        account = self._account
        if account.duplicate_delivery:
            self._backlog.add(self._copies(taken))
        self._backlog.hand_out(taken, payload.get("VisibilityTimeout", self.visibility_timeout_s))
        observer = account.observer
        if observer is not None:
            for message in taken:
                observer.received(self.name, message)
        return taken

    def _room(self, count: int) -> int:
        """How many of that many messages may be handed out."""
        limit = self._account.limits.in_flight_messages
        return count if limit is None else max(0, min(count, limit - self.in_flight))

    def _choose(self, count: int, *, is_long: bool) -> list[Message]:
        """Take messages out, and move those that were received too often.

        Without order, a receive also finds fewer than there are: a short poll asks only some of
        the servers (Amazon SQS Developer Guide, "Amazon SQS short and long polling").
        """
        if self._account.unordered and count:
            most = min(count, self.waiting)
            count = self._account.random.randint(min(1, most) if is_long else 0, most)
        taken = self._backlog.take(count)
        redrive = self.redrive
        if redrive is None:
            return taken
        kept: list[Message] = []
        while taken:
            spent = [m for m in taken if m.receive_count >= redrive.max_receive_count]
            kept += [m for m in taken if m.receive_count < redrive.max_receive_count]
            if not spent:
                break
            self._move(spent, redrive.target)
            taken = self._backlog.take(count - len(kept))
        return kept

    def _move(self, spent: Collection[Message], target: "Queue") -> None:
        """Move messages as they are ("Using dead-letter queues in Amazon SQS")."""
        observer = self._account.observer
        for message in spent:
            message.source_arn = self.arn
            if observer is not None:
                observer.moved(self.name, target.name, message)
        target._put(spent)  # noqa: SLF001 - another queue, of the same class

    def _copies(self, taken: Collection[Message]) -> list[Message]:
        """Second copies that stay visible: a server that held them did not hear of the receive.

        Amazon SQS Developer Guide, "Amazon SQS at-least-once delivery". The copy knows nothing of
        this receive, and the original's delete does not reach it. Copies of copies would grow
        without bound where nothing is deleted.
        """
        random, probability = self._account.random, self._account.duplicate_delivery
        return [
            replace(message, number=next(self._numbers), document="", is_copy=True)
            for message in taken
            if not message.is_copy and random.random() < probability
        ]

    def send_message(self, payload: Payload) -> dict[str, Any]:
        """SendMessage."""
        now_ms = self._account.clock.epoch_ms()
        message = self.message(payload["MessageBody"], payload.get("MessageAttributes"), now_ms)
        check_size([message], "InvalidParameterValue")
        self.release([message])
        return {"MessageId": message.message_id, "MD5OfMessageBody": message.body_md5}

    def send_message_batch(self, payload: Payload) -> dict[str, Any]:
        """SendMessageBatch."""
        now_ms = self._account.clock.epoch_ms()
        results = apply_each(
            "SendMessageBatch",
            payload,
            lambda e: self.message(e["MessageBody"], e.get("MessageAttributes"), now_ms),
            self._account.entry_fault,
        )
        messages = [message for _, message in results.done]
        check_size(messages, "BatchRequestTooLong")
        self.release(messages)
        return results.document(
            [
                {"Id": id_, "MessageId": m.message_id, "MD5OfMessageBody": m.body_md5}
                for id_, m in results.done
            ]
        )

    def delete_message(self, payload: Payload) -> dict[str, Any]:
        """DeleteMessage; deleting twice succeeds.

        By another handle than the latest receive's "the request will succeed, but the message
        might not be deleted" (Amazon SQS API Reference, "DeleteMessage"): here it never is.
        """
        self._confirm([self._delete(payload)])
        return {}

    def delete_message_batch(self, payload: Payload) -> dict[str, Any]:
        """DeleteMessageBatch."""
        operation, fault = "DeleteMessageBatch", self._account.entry_fault
        results = apply_each(operation, payload, self._delete, fault)
        if results.failed:
            self._report_failed(operation, failed_receipts(payload, results))
        self._confirm([message for _, message in results.done])
        return results.document([{"Id": id_} for id_, _ in results.done])

    def _delete(self, entry: Payload) -> Message | None:
        return self._backlog.delete(receipt_of(entry))

    def _confirm(self, deleted: Collection[Message | None]) -> None:
        """Count deleted messages; the limit of messages in flight may have room again."""
        observer = self._account.observer
        for message in deleted:
            if message is not None:
                self.deleted += 1
                if observer is not None:
                    observer.deleted(self.name, message)
        self._serve()

    def change_message_visibility(self, payload: Payload) -> dict[str, Any]:
        """ChangeMessageVisibility of a message in flight by that receive."""
        timeout_s = within(payload, "VisibilityTimeout", 0, 0, MAX_VISIBILITY_S)
        self._backlog.expire()
        receipt = receipt_of(payload)
        message = self._backlog.in_flight_by(receipt)
        if message is None:
            if self._account.observer is not None:
                self._account.observer.not_in_flight(self.name, receipt, timeout_s)
            raise errors.queue_error("MessageNotInflight", "The message is not in flight.")
        # Counted from the receive on ("Amazon SQS visibility timeout").
        if self._account.clock.time() + timeout_s > message.received_at + MAX_VISIBILITY_S:
            raise errors.queue_error(
                "InvalidParameterValue",
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
            )
        self._backlog.set_visibility(message, timeout_s)
        if self._account.observer is not None:
            self._account.observer.changed_visibility(self.name, message)
        self._serve()
        return {}

    def change_message_visibility_batch(self, payload: Payload) -> dict[str, Any]:
        """ChangeMessageVisibilityBatch."""
        operation, fault = "ChangeMessageVisibilityBatch", self._account.entry_fault
        results = apply_each(operation, payload, self.change_message_visibility, fault)
        if results.failed:
            self._report_failed(operation, failed_receipts(payload, results))
        return results.document([{"Id": id_} for id_, _ in results.done])

    def _report_failed(self, operation: str, receipts: Collection[int]) -> None:
        observer = self._account.observer
        for receipt in receipts if observer is not None else ():
            message = self._backlog.in_flight_by(receipt)
            if observer is not None and message is not None:
                observer.entry_failed(operation, self.name, message)
