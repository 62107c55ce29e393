"""Why one write is refused, in each of the forms in which DynamoDB reports it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from simulation.aws import errors
from simulation.aws.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Refusal:
    """One write that takes no effect; `code` as in cancellation reasons and in PartiQL batches."""

    code: str
    message: str
    item: orjson.Fragment | None = None
    """What stands there, where a failed condition was to return it."""
    throttling: Mapping[str, str] | None = None
    """DynamoDB: API_ThrottlingReason."""

    def reason(self) -> dict[str, Any]:
        """As a transaction's cancellation reason."""
        return self._described({"Code": self.code, "Message": self.message})

    def answer(self) -> dict[str, Any]:
        """As a statement's result in a PartiQL batch (API_BatchStatementError)."""
        return {"Error": self.reason()}

    def error(self) -> ServiceError:
        """As the error of a call that writes this item alone."""
        if self.code == "ConditionalCheckFailed":
            return errors.condition_failed(self.item)
        if self.code == "TransactionConflict":
            return errors.transaction_conflict(self.message)
        if self.throttling is not None:
            return errors.throttled(self.message, self.throttling)
        return errors.validation(self.message)

    def _described(self, document: dict[str, Any]) -> dict[str, Any]:
        return document if self.item is None else document | {"Item": self.item}


CONFLICT: Final = Refusal("TransactionConflict", "Transaction is ongoing for the item")
TOO_LARGE: Final = Refusal(
    "ValidationError", "Item size to update has exceeded the maximum allowed size"
)
DUPLICATE: Final = Refusal("DuplicateItem", "Duplicate primary key exists in table")
