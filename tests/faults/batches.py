"""The batch operations of SQS, EventBridge and DynamoDB: taking entries out, and failing them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Protocol

from local.faults.actions import Document


@dataclass(frozen=True, slots=True)
class Failed:
    """The entries of a request that fail, and what the answer says of each of them.

    `forwarded` says that the emulator got them nevertheless, and that its answer has them.
    """

    request: Document
    positions: Collection[int]
    code: str
    message: str
    sender_fault: bool = False
    forwarded: bool = False


class BatchShape(Protocol):
    """How one operation's requests and answers hold their entries."""

    @property
    def default_code(self) -> str:
        """The code of an ordinary failure."""
        ...

    def entries(self, request: Document) -> list[Any]:
        """List the entries in the request's order."""
        ...

    def without(self, request: Document, positions: Collection[int]) -> Document:
        """Take entries out of a request."""
        ...

    def nothing(self) -> Document:
        """Return the answer to a request without entries."""
        ...

    def merge(self, answer: Document, failed: Failed) -> Document:
        """Report entries as failed."""
        ...


@dataclass(frozen=True, slots=True)
class SqsBatch:
    """Entries are identified by their Id."""

    default_code: str = "InternalError"

    def entries(self, request: Document) -> list[Any]:
        """List the entries."""
        return list(request["Entries"])

    def without(self, request: Document, positions: Collection[int]) -> Document:
        """Take entries out."""
        return {**request, "Entries": _others(request["Entries"], positions)}

    def nothing(self) -> Document:
        """Answer no entries."""
        return {"Successful": [], "Failed": []}

    def merge(self, answer: Document, failed: Failed) -> Document:
        """Move the entries to `Failed`."""
        entries = [failed.request["Entries"][position] for position in sorted(failed.positions)]
        ids = {entry["Id"] for entry in entries}
        reports = [
            {
                "Id": entry["Id"],
                "Code": failed.code,
                "Message": failed.message,
                "SenderFault": failed.sender_fault,
            }
            for entry in entries
        ]
        return {
            **answer,
            "Successful": [e for e in answer.get("Successful", []) if e["Id"] not in ids],
            "Failed": [*(e for e in answer.get("Failed", []) if e["Id"] not in ids), *reports],
        }


@dataclass(frozen=True, slots=True)
class PutEventsBatch:
    """Answers follow the requests' order, and count the failures."""

    default_code: str = "InternalFailure"

    def entries(self, request: Document) -> list[Any]:
        """List the entries."""
        return list(request["Entries"])

    def without(self, request: Document, positions: Collection[int]) -> Document:
        """Take entries out."""
        return {**request, "Entries": _others(request["Entries"], positions)}

    def nothing(self) -> Document:
        """Answer no entries."""
        return {"FailedEntryCount": 0, "Entries": []}

    def merge(self, answer: Document, failed: Failed) -> Document:
        """Put the failures at their positions."""
        report = {"ErrorCode": failed.code, "ErrorMessage": failed.message}
        entries = _placed(answer["Entries"], failed, report)
        count = sum("ErrorCode" in entry for entry in entries)
        return {**answer, "FailedEntryCount": count, "Entries": entries}


@dataclass(frozen=True, slots=True)
class StatementBatch:
    """DynamoDB's BatchExecuteStatement: one response for each statement, in order."""

    default_code: str = "InternalServerError"

    def entries(self, request: Document) -> list[Any]:
        """List the statements."""
        return list(request["Statements"])

    def without(self, request: Document, positions: Collection[int]) -> Document:
        """Take statements out."""
        return {**request, "Statements": _others(request["Statements"], positions)}

    def nothing(self) -> Document:
        """Answer no statements."""
        return {"Responses": []}

    def merge(self, answer: Document, failed: Failed) -> Document:
        """Put the failures at their positions."""
        report = {"Error": {"Code": failed.code, "Message": failed.message}}
        responses = _placed(answer["Responses"], failed, report)
        return {**answer, "Responses": responses}


@dataclass(frozen=True, slots=True)
class GetItemBatch:
    """DynamoDB's BatchGetItem: a key that fails comes back in UnprocessedKeys, without a code."""

    default_code: str = ""

    def entries(self, request: Document) -> list[Any]:
        """List the keys, table by table."""
        return [key for table in request["RequestItems"].values() for key in table["Keys"]]

    def without(self, request: Document, positions: Collection[int]) -> Document:
        """Take keys out, and tables that have none left."""
        chosen = set(range(len(self.entries(request)))) - set(positions)
        return {**request, "RequestItems": self._keys_at(request, chosen)}

    def nothing(self) -> Document:
        """Answer no keys."""
        return {"Responses": {}, "UnprocessedKeys": {}}

    def merge(self, answer: Document, failed: Failed) -> Document:
        """Hand the keys back as unprocessed."""
        tables = {table: [] for table in failed.request["RequestItems"]} | answer.get(
            "Responses", {}
        )
        unprocessed = dict(answer.get("UnprocessedKeys", {}))
        for table, spec in self._keys_at(failed.request, failed.positions).items():
            earlier = unprocessed.get(table, {}).get("Keys", [])
            unprocessed[table] = {**spec, "Keys": [*earlier, *spec["Keys"]]}
        return {**answer, "Responses": tables, "UnprocessedKeys": unprocessed}

    @staticmethod
    def _keys_at(request: Document, positions: Collection[int]) -> Document:
        kept: Document = {}
        position = 0
        for table, spec in request["RequestItems"].items():
            end = position + len(spec["Keys"])
            keys = [spec["Keys"][at - position] for at in range(position, end) if at in positions]
            if keys:
                kept[table] = {**spec, "Keys": keys}
            position = end
        return kept


SHAPES: Final[dict[str, BatchShape]] = {
    "SendMessageBatch": SqsBatch(),
    "DeleteMessageBatch": SqsBatch(),
    "ChangeMessageVisibilityBatch": SqsBatch(),
    "PutEvents": PutEventsBatch(),
    "BatchExecuteStatement": StatementBatch(),
    "BatchGetItem": GetItemBatch(),
}


def _others(entries: list[Any], positions: Collection[int]) -> list[Any]:
    return [entry for position, entry in enumerate(entries) if position not in positions]


def _placed(answers: list[Any], failed: Failed, report: Document) -> list[Any]:
    placed = list(answers)
    for position in sorted(failed.positions):
        placed[position : position + failed.forwarded] = [report]
    return placed
