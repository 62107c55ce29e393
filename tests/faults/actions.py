"""Further ways to mistreat a call: what only tests do on the wire."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from local.faults import http1
from local.faults.actions import THROTTLE, Action, Answer, Ending, Fault, Plan, Refuse, Target
from local.faults.http1 import Message
from tests.faults.batches import SHAPES, Failed

__all__ = [
    "INVALID",
    "SERVER_ERROR",
    "THROTTLE",
    "Action",
    "Answer",
    "CancelTransaction",
    "Cut",
    "Delay",
    "DropAnswer",
    "FailEntries",
    "Fault",
    "Hang",
    "OneOf",
    "Plan",
    "Refuse",
    "Target",
]


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
