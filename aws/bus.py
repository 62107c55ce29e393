"""The bus adapter: PutEvents with a result per entry, and the size as AWS counts it."""

from collections.abc import Sequence
from typing import Any, Final

from aws import errors
from aws.client import Client
from config.limits import EVENTBRIDGE_TIME_BYTES
from schema.values import value

_SERVICE: Final = "events"


@value(frozen=True, slots=True)
class BusEntry:
    """One event for the bus."""

    source: str
    detail_type: str
    detail: bytes
    """A JSON document in UTF-8."""
    time_s: int
    """Epoch seconds: the protocol carries no fractions."""

    @property
    def size(self) -> int:
        """Bytes as AWS counts them (EventBridge User Guide, "PutEvents entry size")."""
        return (
            EVENTBRIDGE_TIME_BYTES
            + _bytes_of(self.source)
            + _bytes_of(self.detail_type)
            + len(self.detail)
        )


class Bus:
    """One EventBridge bus."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.name = name

    async def put(self, entries: Sequence[BusEntry]) -> list[Exception | None]:
        """Put up to ten events in one call: None, or the error, of each.

        A bus that does not exist accepts every event and drops it: `check` first.
        """
        response = await self._client.call(
            "PutEvents",
            Entries=[
                {
                    "EventBusName": self.name,
                    "Source": entry.source,
                    "DetailType": entry.detail_type,
                    "Detail": entry.detail.decode(),
                    "Time": entry.time_s,
                }
                for entry in entries
            ],
        )
        answers: list[dict[str, Any]] = response.get("Entries", [])
        if len(answers) == len(entries) and not any("ErrorCode" in answer for answer in answers):
            return [None] * len(entries)
        return [
            _result(answers[index])
            if index < len(answers)
            else errors.unanswered(_SERVICE, "PutEvents")
            for index in range(len(entries))
        ]

    async def check(self) -> None:
        """Raise Fatal where the bus does not exist, Transient where EventBridge is unavailable."""
        await self._client.call("DescribeEventBus", Name=self.name)


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _result(answer: dict[str, Any]) -> Exception | None:
    code = answer.get("ErrorCode")
    if not code:
        return None
    kind = errors.kind_of(str(code), 400)
    return kind(_SERVICE, "PutEvents", str(code), str(answer.get("ErrorMessage", "")), answer)
