"""The refusals that the model can answer with, under the names that AWS gives them."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

_DYNAMODB: Final = "com.amazonaws.dynamodb.v20120810#"
_SQS: Final = "com.amazonaws.sqs#"
_COMMON: Final = "com.amazon.coral.service#"


class ServiceError(Exception):
    """An error document: its type, its message, and whatever else AWS puts beside them."""

    def __init__(
        self, kind: str, message: str, *, status: int = 400, extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{kind}: {message}")
        self.status = status
        self.document: dict[str, Any] = {"__type": kind, "message": message, **(extra or {})}


def validation(message: str) -> ServiceError:
    """DynamoDB's (and EventBridge's) answer to a request that makes no sense."""
    return ServiceError(_COMMON.replace(".service", ".validate") + "ValidationException", message)


def unknown_operation(target: str) -> ServiceError:
    """No such operation here."""
    return ServiceError(_COMMON + "UnknownOperationException", f"not served here: {target}")


def no_table(name: str) -> ServiceError:
    """DynamoDB: the table does not exist."""
    return ServiceError(_DYNAMODB + "ResourceNotFoundException", f"no such table: {name}")


def condition_failed(item: orjson.Fragment | None) -> ServiceError:
    """DynamoDB: a single conditional write whose condition is not true."""
    return ServiceError(
        _DYNAMODB + "ConditionalCheckFailedException",
        "The conditional request failed",
        extra={"Item": item} if item else None,
    )


def transaction_cancelled(reasons: list[dict[str, Any]]) -> ServiceError:
    """DynamoDB: a transaction of which at least one condition is not true."""
    codes = ", ".join(reason["Code"] for reason in reasons)
    return ServiceError(
        _DYNAMODB + "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        extra={"CancellationReasons": reasons},
    )


def transaction_conflict(message: str) -> ServiceError:
    """DynamoDB: a single write of an item that a transaction holds."""
    return ServiceError(_DYNAMODB + "TransactionConflictException", message)


def throttled(message: str, reason: Mapping[str, str]) -> ServiceError:
    """DynamoDB: an on-demand table, an index or a partition bears no more for the moment."""
    return ServiceError(
        _DYNAMODB + "ThrottlingException", message, extra={"throttlingReasons": [reason]}
    )


def nothing_read(reasons: list[Mapping[str, str]]) -> ServiceError:
    """DynamoDB: a BatchGetItem of which no key could be read."""
    return ServiceError(
        _DYNAMODB + "ProvisionedThroughputExceededException",
        "The level of configured provisioned throughput for the table was exceeded.",
        extra={"ThrottlingReasons": reasons},
    )


def token_mismatch() -> ServiceError:
    """DynamoDB: a token that was used with other parameters within ten minutes."""
    return ServiceError(
        _DYNAMODB + "IdempotentParameterMismatchException",
        "The client request token was used with another request",
    )


def transaction_in_progress() -> ServiceError:
    """DynamoDB: a transaction with the same token has not ended yet."""
    return ServiceError(
        _DYNAMODB + "TransactionInProgressException",
        "The transaction with the given request token is already in progress.",
    )


def no_queue() -> ServiceError:
    """SQS: the queue does not exist."""
    return ServiceError(_SQS + "QueueDoesNotExist", "The specified queue does not exist.")


def queue_error(name: str, message: str) -> ServiceError:
    """SQS: the request is refused as a whole."""
    return ServiceError(_SQS + name, message)


def too_many_events() -> ServiceError:
    """EventBridge: more calls of PutEvents than the account's quota allows."""
    return ServiceError("ThrottlingException", "Rate exceeded")


def no_resource(message: str) -> ServiceError:
    """EventBridge: the bus does not exist."""
    return ServiceError("ResourceNotFoundException", message)


def internal_failure() -> ServiceError:
    """A service that failed by itself."""
    return ServiceError("InternalFailure", "The service failed.", status=500)
