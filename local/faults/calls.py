"""One call on its way through the proxy: what it asks, how far it has come, how it ended."""

from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

import orjson

from local.faults.actions import Document, Fault
from local.faults.http1 import Message

Stage = Literal["arrived", "forwarded", "answered"]
"""`forwarded`: the emulator has answered, so the call took effect. `answered`: so has the proxy,
in whole; a cut, reset or hanging call never gets there."""
Outcome = Literal["open", "answered", "cut", "reset", "hang", "gone", "unreachable"]
"""How a call ended for its client. `open`: still under way; `gone`: the client did not wait for
the end; `unreachable`: the emulator gave no answer."""


def operation_name(operation: str) -> str:
    """Take the prefix off an X-Amz-Target (`AmazonSQS.ReceiveMessage`)."""
    return operation.rpartition(".")[2]


@dataclass(slots=True, eq=False)
class Call:
    """One call, from its arrival on. Times are of the monotonic clock, in seconds."""

    service: str
    """The X-Amz-Target's prefix (`AmazonSQS`), or the signature's service where there is none."""
    operation: str
    """The SDK's name of the operation, or the HTTP method where there is no X-Amz-Target."""
    sent: Message = field(repr=False)
    arrived_s: float = field(default_factory=monotonic)
    forwarded_s: float | None = None
    answer: Message | None = field(default=None, repr=False)
    """What the client was answered, or would have been."""
    outcome: Outcome = "open"
    fault: Fault | None = None
    """The fault that was applied."""

    @property
    def request(self) -> Document:
        """The request document; empty for a call that is not JSON."""
        return _document(self.sent)

    @property
    def response(self) -> Document:
        """The answer's document; empty where there is none."""
        return _document(self.answer) if self.answer is not None else {}

    @property
    def took_effect(self) -> bool:
        """Whether the emulator has executed the call."""
        return self.forwarded_s is not None

    def has(self, stage: Stage) -> bool:
        """Whether the call has got to a stage."""
        return {
            "arrived": True,
            "forwarded": self.took_effect,
            "answered": self.outcome == "answered",
        }[stage]


def _document(message: Message) -> Document:
    try:
        document = orjson.loads(message.body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
