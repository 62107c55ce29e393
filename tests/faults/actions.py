"""What can be done to a call: each action turns a request into a plan, and performs nothing."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any, Final, Protocol

from tests.faults import http1
from tests.faults.batches import SHAPES, Document, Failed
from tests.faults.http1 import Message

Amend = Callable[[Message], Message]


class Ending(Enum):
    """How a call ends for the client."""

    ANSWER = "answer"
    CUT = "cut"
    """Half of the answer, then the end of the connection."""
    RESET = "reset"
    """A connection reset, and no answer."""
    HANG = "hang"
    """Nothing at all, until the client gives up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the proxy does with one call.

    `forward` is the request for the emulator, None to keep the call from it. The client's answer
    is `answer`, or else the emulator's, as `amend` changes it.
    """

    forward: Message | None
    answer: Message | None = None
    amend: Amend | None = None
    ending: Ending = Ending.ANSWER
    delay_before_s: float = 0.0
    delay_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """A call as an action sees it."""

    service: str
    operation: str
    message: Message
    document: Document
    random: Random


class Action(Protocol):
    """One way to mistreat a call."""

    def plan(self, target: Target, /) -> Plan | None:
        """Plan what happens to this call; None where the action does not apply to it."""
        ...


@dataclass(frozen=True, slots=True)
class Refuse:
    """The connection is reset before the call takes effect."""

    def plan(self, _target: Target, /) -> Plan:
        """Keep the call back, and reset."""
        return Plan(None, ending=Ending.RESET)


@dataclass(frozen=True, slots=True)
class Hang:
    """The call takes no effect, and nothing is ever answered."""

    def plan(self, _target: Target, /) -> Plan:
        """Keep the call back, and hang."""
        return Plan(None, ending=Ending.HANG)


@dataclass(frozen=True, slots=True)
class Delay:
    """The call takes effect and is answered, late.

    A call that is late on its way to the service takes effect even if its client has given up
    in the meantime, as on a real network.
    """

    before_s: float = 0.0
    after_s: float = 0.0

    def plan(self, target: Target) -> Plan:
        """Wait on the way there, and on the way back."""
        return Plan(target.message, delay_before_s=self.before_s, delay_after_s=self.after_s)


@dataclass(frozen=True, slots=True)
class Cut:
    """The call takes effect, and the connection ends in the middle of the answer."""

    def plan(self, target: Target) -> Plan:
        """Forward, and answer by half."""
        return Plan(target.message, ending=Ending.CUT)


@dataclass(frozen=True, slots=True)
class DropAnswer:
    """The call takes effect, but the client sees a reset, or (`hang`) nothing."""

    hang: bool = False

    def plan(self, target: Target) -> Plan:
        """Forward, and keep the answer."""
        return Plan(target.message, ending=Ending.HANG if self.hang else Ending.RESET)


@dataclass(frozen=True, slots=True)
class Answer:
    """The service answers an error (400 with a code, 500, a throttle); no effect."""

    status: int
    code: str
    message: str = "injected"
    fields: Mapping[str, Any] = field(default_factory=dict)

    def plan(self, target: Target) -> Plan:
        """Keep the call back, and answer the error."""
        if target.service == "s3":
            text = f"<Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>"
            return Plan(None, answer=http1.response(self.status, "application/xml", text.encode()))
        document = {"__type": self.code, "message": self.message, **self.fields}
        body = json.dumps(document).encode()
        return Plan(None, answer=http1.response(self.status, "application/x-amz-json-1.0", body))


THROTTLE: Final = Answer(400, "ThrottlingException", "Rate exceeded")
INVALID: Final = Answer(400, "ValidationException", "Item size has exceeded the limit")
SERVER_ERROR: Final = Answer(500, "InternalServerError", "Internal server error")


@dataclass(frozen=True, slots=True)
class CancelTransaction:
    """A TransactWriteItems is cancelled; no effect.

    `reasons` maps the position of a transaction item to its code; the other items have `None`.
    Positions that the transaction does not have are left out.
    """

    reasons: Mapping[int, str] = field(default_factory=lambda: {0: "TransactionConflict"})

    def plan(self, target: Target) -> Plan | None:
        """Keep the transaction back, and give the reasons in the items' order."""
        if target.operation != "TransactWriteItems":
            return None
        positions = range(len(target.document["TransactItems"]))
        codes = [self.reasons.get(position, "None") for position in positions]
        reasons = [
            {"Code": code} if code == "None" else {"Code": code, "Message": f"injected {code}"}
            for code in codes
        ]
        return Answer(
            400,
            "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Transaction cancelled, please refer cancellation reasons for specific reasons "
            f"[{', '.join(codes)}]",
            {"CancellationReasons": reasons},
        ).plan(target)


@dataclass(frozen=True, slots=True)
class FailEntries:
    """Some entries of a batch fail, and the others are as healthy as ever.

    An entry fails if its position is listed, or `where` is true of it, or by chance (`share`).
    Failed entries take no effect unless `took_effect`, the case of a failure on the way back.
    For BatchGetItem the keys come back as UnprocessedKeys.
    """

    positions: Collection[int] = ()
    share: float = 0.0
    where: Callable[[Any], bool] | None = None
    code: str | None = None
    message: str = "injected"
    sender_fault: bool = False
    took_effect: bool = False

    def plan(self, target: Target) -> Plan | None:
        """Take the failed entries out on the way there, and put them in on the way back."""
        shape = SHAPES.get(target.operation)
        if shape is None:
            return None
        request = target.document
        entries = shape.entries(request)
        chosen = {at for at, entry in enumerate(entries) if self._fails(at, entry, target.random)}
        if not chosen:
            return None
        failed = Failed(
            request,
            chosen,
            self.code or shape.default_code,
            self.message,
            self.sender_fault,
            # A key cannot be both read and unprocessed.
            forwarded=self.took_effect and target.operation != "BatchGetItem",
        )

        def amend(answer: Message) -> Message:
            if answer.status != 200:
                return answer
            document = json.loads(answer.body)
            merged = shape.merge(document, failed)
            return answer.with_body(json.dumps(merged).encode())

        if failed.forwarded:
            return Plan(target.message, amend=amend)
        if len(chosen) == len(entries):
            body = json.dumps(shape.nothing()).encode()
            answer = http1.response(200, "application/x-amz-json-1.0", body)
            return Plan(None, answer=amend(answer))
        rest = json.dumps(shape.without(request, chosen)).encode()
        return Plan(target.message.with_body(rest), amend=amend)

    def _fails(self, position: int, entry: Any, random: Random) -> bool:
        return (
            position in self.positions
            or (self.where is not None and self.where(entry))
            or (self.share > 0 and random.random() < self.share)
        )


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several actions, by chance, among those that apply to the call."""

    actions: Collection[Action]

    def plan(self, target: Target) -> Plan | None:
        """Plan as the chosen action does."""
        actions = list(self.actions)
        target.random.shuffle(actions)
        return next((plan for action in actions if (plan := action.plan(target))), None)


@dataclass(frozen=True, slots=True)
class Fault:
    """An action, and the calls that it strikes.

    `operation` is the SDK's name (`ReceiveMessage`), with or without the prefix of the
    X-Amz-Target header, or `*` for every call. A matching call is struck with `probability`,
    `times` at most, and only where `where` is true of its request document.
    """

    operation: str
    action: Action
    probability: float = 1.0
    times: int | None = None
    where: Callable[[Document], bool] | None = None
