"""The one place where an SDK error becomes one of three kinds that callers can act on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import botocore.exceptions as sdk


@dataclass(frozen=True, slots=True)
class Throttle:
    """Why a service refused a call, or a part of one, for its rate."""

    reason: str
    """DynamoDB's reason, such as `IndexWriteKeyRangeThroughputExceeded` (API_ThrottlingReason);
    the error's code where there is none."""
    resource: str = ""
    """What bears no more: `table/NAME` or `table/NAME/index/GSI2`, which is the end of its ARN;
    `table` or `index` where a message says no more than that; empty where nothing does."""


class AwsError(Exception):
    """An AWS call that did not succeed.

    `code` is the service's error code, or the name of the client-side error where there was no
    answer. `response` is the service's error document, empty where there was none, `parameters`
    what the SDK was given. The text has the request's id and the reasons of throttles as well.
    """

    def __init__(
        self,
        service: str,
        operation: str,
        code: str,
        message: str,
        response: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(service, operation, code, message)
        self.service = service
        self.operation = operation
        self.code = code
        self.message = message
        self.response: Mapping[str, Any] = response or {}
        self.parameters: Mapping[str, Any] = parameters or {}

    # All that is read from the document waits until somebody asks: a statement of a batch that
    # fails on its condition makes an error as well, and few of them are ever logged.

    def __str__(self) -> str:
        details = [f"{t.reason} of {t.resource}" for t in self.throttles if t.resource]
        if self.request_id:
            details.append(f"request {self.request_id}")
        end = f" ({', '.join(details)})" if details else ""
        return f"{self.service}.{self.operation}: {self.code}: {self.message}{end}"

    @property
    def request_id(self) -> str | None:
        """What AWS Support asks for first; None where the answer had none."""
        found: str | None = self.response.get("ResponseMetadata", {}).get("RequestId")
        return found

    @property
    def throttles(self) -> Sequence[Throttle]:
        """What was refused for its rate, each reason and resource once."""
        return tuple(dict.fromkeys(_throttles(self.code, self.message, self.response)))


class Transient(AwsError):
    """Trying again later may help: no connection, a timeout, throttling, a 5xx.

    Whether the call took effect is unknown unless the code is a throttle.
    """

    @property
    def is_throttle(self) -> bool:
        """Whether the service refused the call because of its rate, so that it took no effect."""
        return self.code in THROTTLE_CODES

    @property
    def is_conflict(self) -> bool:
        """Whether a transaction that was under way stood in the way of this write."""
        return self.code in _CONFLICT_CODES

    @property
    def is_busy(self) -> bool:
        """Whether others were in the way, and the service itself answers."""
        return self.is_throttle or self.is_conflict


class Fatal(AwsError):
    """Nothing will help until an operator acts: no permission, no such resource."""


class Rejected(AwsError):
    """The service understood the call and refused it; repeating it changes nothing."""


THROTTLE_CODES: Final = frozenset(
    {
        "LimitExceededException",
        "OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_CONFLICT_CODES: Final = frozenset(
    {"TransactionConflict", "TransactionConflictException", "TransactionInProgressException"}
)
_TRANSIENT_CODES: Final = (
    THROTTLE_CODES
    | _CONFLICT_CODES
    | {
        # Temporary credentials are renewed by the session; the next call carries new ones.
        "ExpiredToken",
        "ExpiredTokenException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
    }
)
_FATAL_CODES: Final = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NoSuchBucket",
        "NotAuthorized",
        "OptInRequired",
        "QueueDoesNotExist",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
_FATAL_SDK_ERRORS: Final = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.NoRegionError,
    sdk.ProfileNotFound,
)
_SERVER_ERROR: Final = 500


def kind_of(code: str, http_status: int) -> type[AwsError]:
    """Choose the kind of error by the service's code, then by the HTTP status."""
    short = code.rsplit("#", 1)[-1]
    if short in _TRANSIENT_CODES:
        return Transient
    if short in _FATAL_CODES:
        return Fatal
    return Transient if http_status >= _SERVER_ERROR else Rejected


def _throttles(code: str, message: str, response: Mapping[str, Any]) -> list[Throttle]:
    """What an error says of throttles: by DynamoDB's own reasons, else by its codes and texts."""
    # The service's model spells the field in lower case for ThrottlingException alone.
    reasons = response.get("ThrottlingReasons") or response.get("throttlingReasons")
    if reasons:
        return [
            Throttle(str(reason.get("reason", code)), str(reason.get("resource")).split(":")[-1])
            for reason in reasons
        ]
    said = [
        (str(reason.get("Code")), str(reason.get("Message")))
        for reason in response.get("CancellationReasons", ())
    ]
    return [
        Throttle(code, _described_resource(message))
        for code, message in [(code, message), *said]
        if code.rsplit("#", 1)[-1] in THROTTLE_CODES
    ]


def _described_resource(message: str) -> str:
    """What bears no more by a text alone (API_TransactWriteItems, "Cancellation reason codes").

    Cancellation reasons and errors of PartiQL statements have no other field for it.
    """
    if "global secondary index" in message:
        return "index"
    return "table" if "table" in message else ""


def from_response(
    service: str,
    operation: str,
    response: Mapping[str, Any],
    http_status: int,
    parameters: Mapping[str, Any] | None = None,
) -> AwsError:
    """Translate a service's error document."""
    error = response.get("Error", {})
    code = str(error.get("Code", http_status))
    return kind_of(code, http_status)(
        service, operation, code, str(error.get("Message", "")), response, parameters
    )


def unanswered(service: str, operation: str, left_out: str = "this entry") -> Transient:
    """The error for what a successful answer leaves out: whether it took effect is unknown."""
    return Transient(service, operation, "NoAnswer", f"the answer leaves {left_out} out")


def translate(
    service: str, operation: str, error: Exception, parameters: Mapping[str, Any] | None = None
) -> AwsError:
    """Turn whatever the SDK raised into one of the three kinds.

    An unforeseen error counts as transient: the message then goes back to its queue.
    """
    if isinstance(error, sdk.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return from_response(service, operation, error.response, int(status), parameters)
    name = type(error).__name__
    if isinstance(error, _FATAL_SDK_ERRORS):
        return Fatal(service, operation, name, str(error))
    if isinstance(error, sdk.ParamValidationError):
        return Rejected(service, operation, name, str(error))
    return Transient(service, operation, name, str(error))
