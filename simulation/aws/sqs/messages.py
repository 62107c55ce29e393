"""A queue's messages, and their JSON in answers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson

_HANDLE_PADDING: Final = "AQEB" + "x0Zk" * 80
"""Receipt handles are long; so are the bodies of the calls that carry them."""
_SENT: Final = "<when it was sent>"
_FIRST: Final = "<when it was first received>"


@dataclass(slots=True, eq=False)
class Message:
    """A message, and when it was last handed out."""

    number: int
    """Unlike `message_id`, a second copy that the queue keeps by mistake has its own."""
    message_id: str
    body: str
    body_md5: str
    attributes: Mapping[str, Any] | None
    sent_at_ms: str
    document: str = ""
    """The beginning of its JSON in answers, as far as it is the same at each receive."""
    receive_count: int = 0
    receipt: int = 0
    """Which receive of the queue handed it out last; 0: none has."""
    first_received_at_ms: str = ""
    received_at: float = 0.0
    """When it was last handed out, on the model's clock."""
    visible_at: float = 0.0
    """On the model's clock; what a visibility deadline must equal to be still in force."""
    is_copy: bool = False
    """Whether the queue keeps it by mistake beside the original."""
    source_arn: str = ""
    """The queue from which it was moved to its dead-letter queue."""

    @property
    def receipt_handle(self) -> str:
        """What the latest receive gave to its caller."""
        return f"{self.receipt}:{_HANDLE_PADDING}"

    def prepare(self) -> str:
        """Make the document, if need be."""
        if not self.document:
            fixed = {"MessageId": self.message_id, "MD5OfBody": self.body_md5, "Body": self.body}
            begun = orjson.dumps(fixed).decode().removesuffix("}")
            self.document = begun + ',"ReceiptHandle":"'
        return self.document


@lru_cache(maxsize=1024)
def _pieces(wanted: tuple[str, ...], count: int, source_arn: str) -> tuple[list[str], bool]:
    """What follows a message's receipt at its nth receive, around the times of sending.

    And whether the time of its first receive is to be put in.
    """
    system = {
        "ApproximateReceiveCount": str(count),
        "SentTimestamp": _SENT,
        "ApproximateFirstReceiveTimestamp": _FIRST,
        "SenderId": "000000000000",
    }
    if source_arn:
        system["DeadLetterQueueSourceArn"] = source_arn
    if "All" not in wanted:
        system = {name: value for name, value in system.items() if name in wanted}
    attributes = ',"Attributes":' + orjson.dumps(system).decode() if wanted else ""
    return f':{_HANDLE_PADDING}"{attributes}'.split(_SENT), _FIRST in attributes


def _wire(message: Message, wanted: tuple[str, ...], *, with_attributes: bool) -> str:
    """A message's JSON at its latest receive."""
    # Joined from prepared texts: to let orjson walk a message takes three times as long.
    pieces, has_first = _pieces(wanted, message.receive_count, message.source_arn)
    system = message.sent_at_ms.join(pieces)
    if has_first:
        system = system.replace(_FIRST, message.first_received_at_ms)
    text = f"{message.document or message.prepare()}{message.receipt}{system}"
    if with_attributes and message.attributes:
        text += ',"MessageAttributes":' + orjson.dumps(message.attributes).decode()
    return text + "}"


def answer(payload: Mapping[str, Any], taken: Collection[Message]) -> dict[str, Any]:
    """ReceiveMessage's answer: what its caller asked for of each message."""
    # AWS leaves the key out when nothing came.
    if not taken:
        return {}
    wanted = (
        *payload.get("AttributeNames", ()),
        *payload.get("MessageSystemAttributeNames", ()),
    )
    with_attributes = bool(payload.get("MessageAttributeNames"))
    wires = [_wire(message, wanted, with_attributes=with_attributes) for message in taken]
    return {"Messages": orjson.Fragment(f"[{','.join(wires)}]")}
