"""Which of the three kinds an error becomes."""

import botocore.exceptions as sdk
import pytest

from aws import errors
from aws.errors import AwsError, Fatal, Rejected, Transient


def client_error(code: str, status: int, message: str = "why") -> sdk.ClientError:
    return sdk.ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "PutItem",
    )


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ThrottlingException", 400, Transient),
        ("ProvisionedThroughputExceededException", 400, Transient),
        ("RequestLimitExceeded", 400, Transient),
        ("InternalFailure", 500, Transient),
        ("InternalServerError", 500, Transient),
        ("ServiceUnavailable", 503, Transient),
        ("Unheard", 502, Transient),
        ("503", 503, Transient),
        ("TransactionConflictException", 400, Transient),
        ("TransactionInProgressException", 400, Transient),
        ("ExpiredTokenException", 400, Transient),
        ("com.amazonaws.dynamodb.v20120810#ThrottlingException", 400, Transient),
        ("AccessDeniedException", 400, Fatal),
        ("AccessDenied", 403, Fatal),
        ("UnrecognizedClientException", 400, Fatal),
        ("InvalidClientTokenId", 403, Fatal),
        ("ResourceNotFoundException", 400, Fatal),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, Fatal),
        ("QueueDoesNotExist", 400, Fatal),
        ("com.amazonaws.sqs#QueueDoesNotExist", 400, Fatal),
        ("ConditionalCheckFailedException", 400, Rejected),
        ("TransactionCanceledException", 400, Rejected),
        ("ValidationException", 400, Rejected),
        ("ReceiptHandleIsInvalid", 404, Rejected),
        ("Unheard", 400, Rejected),
    ],
)
def test_a_service_s_code_decides_the_kind(code: str, status: int, kind: type[AwsError]) -> None:
    error = errors.translate("dynamodb", "PutItem", client_error(code, status))

    assert type(error) is kind
    assert error.code == code
    assert (error.service, error.operation, error.message) == ("dynamodb", "PutItem", "why")


def test_the_service_s_own_document_is_kept() -> None:
    document = client_error("TransactionCanceledException", 400)
    document.response["CancellationReasons"] = [{"Code": "None"}]

    error = errors.translate("dynamodb", "TransactWriteItems", document)

    assert error.response["CancellationReasons"] == [{"Code": "None"}]


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (sdk.EndpointConnectionError(endpoint_url="http://x"), Transient),
        (sdk.ReadTimeoutError(endpoint_url="http://x"), Transient),
        (sdk.ConnectTimeoutError(endpoint_url="http://x"), Transient),
        (sdk.ConnectionClosedError(endpoint_url="http://x"), Transient),
        (TimeoutError("late"), Transient),
        (ConnectionResetError("gone"), Transient),
        (RuntimeError("unforeseen"), Transient),
        (sdk.NoCredentialsError(), Fatal),
        (sdk.PartialCredentialsError(provider="env", cred_var="x"), Fatal),
        (sdk.NoRegionError(), Fatal),
        (sdk.ParamValidationError(report="bad"), Rejected),
    ],
)
def test_an_error_without_an_answer_has_its_name_as_code(
    raised: Exception, kind: type[AwsError]
) -> None:
    error = errors.translate("sqs", "SendMessage", raised)

    assert type(error) is kind
    assert error.code == type(raised).__name__
    assert error.response == {}


def test_only_a_refusal_for_the_rate_is_a_throttle() -> None:
    throttled = errors.translate("events", "PutEvents", client_error("ThrottlingException", 400))
    broken = errors.translate("events", "PutEvents", client_error("InternalFailure", 500))

    assert isinstance(throttled, Transient)
    assert throttled.is_throttle
    assert isinstance(broken, Transient)
    assert not broken.is_throttle


def test_the_text_names_service_operation_and_code() -> None:
    assert str(Fatal("sqs", "ReceiveMessage", "AccessDenied", "no")) == (
        "sqs.ReceiveMessage: AccessDenied: no"
    )


def test_an_empty_document_is_classified_by_its_status() -> None:
    assert type(errors.from_response("s3", "GetObject", {}, 404)) is Rejected
    assert type(errors.from_response("s3", "GetObject", {}, 503)) is Transient
