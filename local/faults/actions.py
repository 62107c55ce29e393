"""What can be done to a call: each action turns a request into a plan, and performs nothing."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from time import monotonic
from typing import Any, Final, Protocol

from local.faults import http1
from local.faults.http1 import Message

Document = dict[str, Any]
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


class Quota:
    """Calls beyond a rate are throttled, as an account's quota does; others are left alone."""

    def __init__(self, calls_a_second: float) -> None:
        self._interval_s = 1 / calls_a_second
        self._next_s = 0.0

    def plan(self, target: Target) -> Plan | None:
        """Let a call pass when its turn has come."""
        now_s = monotonic()
        if now_s < self._next_s:
            return THROTTLE.plan(target)
        # What was not used within a second is lost.
        self._next_s = max(self._next_s, now_s - 1) + self._interval_s
        return None


@dataclass(frozen=True, slots=True)
class Fault:
    """An action, and the calls that it strikes.

    `operation` is the SDK's name (`ReceiveMessage`), with or without the prefix of the
    X-Amz-Target header, or `*` for every call; `service` is such a prefix, or `*`. A matching call
    is struck with `probability`, `times` at most, and only where `where` is true of its request
    document.
    """

    operation: str
    action: Action
    probability: float = 1.0
    times: int | None = None
    where: Callable[[Document], bool] | None = None
    service: str = "*"
