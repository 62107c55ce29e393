"""Which of the three kinds an error becomes."""

import botocore.exceptions as sdk
import pytest

from aws import errors
from aws.errors import AwsError, Fatal, Rejected, Throttle, Transient


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


OF_A_TABLE = (
    "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically "
    "scaling your table or index so please try again shortly."
)
OF_AN_INDEX = (
    "The level of configured provisioned throughput for one or more global secondary indexes of "
    "the table was exceeded."
)
ARN = "arn:aws:dynamodb:ap-northeast-2:123456789012:table/T"


@pytest.mark.parametrize("field", ["ThrottlingReasons", "throttlingReasons"])
def test_a_throttle_has_dynamodb_s_reason_and_what_is_at_its_limit(field: str) -> None:
    reasons = [
        {"reason": "TableWriteKeyRangeThroughputExceeded", "resource": ARN},
        {"reason": "IndexWriteKeyRangeThroughputExceeded", "resource": f"{ARN}/index/GSI2"},
        {"reason": "TableWriteKeyRangeThroughputExceeded", "resource": ARN},
    ]
    document = {"Error": {"Code": "ThrottlingException", "Message": "slow"}, field: reasons}

    error = errors.from_response("dynamodb", "PutItem", document, 400)

    assert error.throttles == (
        Throttle("TableWriteKeyRangeThroughputExceeded", "table/T"),
        Throttle("IndexWriteKeyRangeThroughputExceeded", "table/T/index/GSI2"),
    )
    assert str(error) == (
        "dynamodb.PutItem: ThrottlingException: slow ("
        "TableWriteKeyRangeThroughputExceeded of table/T, "
        "IndexWriteKeyRangeThroughputExceeded of table/T/index/GSI2)"
    )


def test_a_cancelled_transaction_s_throttles_are_known_by_their_texts() -> None:
    reasons = [
        {"Code": "None"},
        {"Code": "ThrottlingError", "Message": OF_A_TABLE},
        {"Code": "ProvisionedThroughputExceeded", "Message": OF_AN_INDEX},
        {"Code": "ThrottlingError", "Message": OF_A_TABLE},
        {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"},
    ]
    document = {
        "Error": {"Code": "TransactionCanceledException", "Message": "no"},
        "CancellationReasons": reasons,
    }

    error = errors.from_response("dynamodb", "TransactWriteItems", document, 400)

    assert error.throttles == (
        Throttle("ThrottlingError", "table"),
        Throttle("ProvisionedThroughputExceeded", "index"),
    )
    assert str(error).endswith("(ThrottlingError of table, ProvisionedThroughputExceeded of index)")


def test_a_throttle_without_a_reason_has_its_code_and_no_resource() -> None:
    error = errors.translate("events", "PutEvents", client_error("ThrottlingException", 400))

    assert error.throttles == (Throttle("ThrottlingException"),)
    assert str(error) == "events.PutEvents: ThrottlingException: why"


def test_other_errors_are_no_throttles() -> None:
    error = errors.translate("dynamodb", "PutItem", client_error("InternalServerError", 500))

    assert error.throttles == ()


def test_the_request_s_id_is_known_and_in_the_text() -> None:
    raised = client_error("InternalFailure", 500)
    raised.response["ResponseMetadata"]["RequestId"] = "4KBNVRGD25RG"

    error = errors.translate("events", "PutEvents", raised)

    assert error.request_id == "4KBNVRGD25RG"
    assert str(error) == "events.PutEvents: InternalFailure: why (request 4KBNVRGD25RG)"
    assert errors.translate("sqs", "SendMessage", TimeoutError()).request_id is None


def test_the_text_names_service_operation_and_code() -> None:
    assert str(Fatal("sqs", "ReceiveMessage", "AccessDenied", "no")) == (
        "sqs.ReceiveMessage: AccessDenied: no"
    )


def test_an_empty_document_is_classified_by_its_status() -> None:
    assert type(errors.from_response("s3", "GetObject", {}, 404)) is Rejected
    assert type(errors.from_response("s3", "GetObject", {}, 503)) is Transient
