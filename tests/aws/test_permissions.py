"""What a refused call needs, by every form in which AWS words its refusals."""

import json

import pytest

from aws import errors
from aws.errors import AwsError, Fatal, Transient
from aws.permissions import refusal, refusal_in, sentence

ROLE = "arn:aws:sts::123456789012:assumed-role/operator/kim"
TABLE = "arn:aws:dynamodb:ap-northeast-2:123456789012:table/T"
QUERY = f"User: {ROLE} is not authorized to perform: dynamodb:Query on resource: {TABLE}/index/GSI1"


def denied(service: str, operation: str, message: str, code: str = "AccessDenied") -> AwsError:
    return Fatal(service, operation, code, message)


@pytest.mark.parametrize(
    ("service", "operation", "message", "action", "resource"),
    [
        (
            "dynamodb",
            "Query",
            f"{QUERY} because no identity-based policy allows the dynamodb:Query action",
            "dynamodb:Query",
            f"{TABLE}/index/GSI1",
        ),
        (
            "sqs",
            "ReceiveMessage",
            (
                f"User: {ROLE} is not authorized to perform: sqs:receivemessage on resource: "
                "arn:aws:sqs:ap-northeast-2:123456789012:q because no identity-based policy allows "
                "the sqs:receivemessage action"
            ),
            "sqs:receivemessage",
            "arn:aws:sqs:ap-northeast-2:123456789012:q",
        ),
        (
            "service-quotas",
            "ListServiceQuotas",
            (
                f"User: {ROLE} is not authorized to perform: servicequotas:ListServiceQuotas "
                "because no identity-based policy allows the servicequotas:ListServiceQuotas action"
            ),
            "servicequotas:ListServiceQuotas",
            "*",
        ),
        (
            "athena",
            "StartQueryExecution",
            (
                "You are not authorized to perform: athena:StartQueryExecution on the resource. "
                "After your AWS administrator or you have updated your permissions, "
                "please try again."
            ),
            "athena:StartQueryExecution",
            "*",
        ),
        (
            "s3",
            "ListObjectsV2",
            (
                f"User: {ROLE} is not authorized to perform: s3:ListBucket on resource: "
                '"arn:aws:s3:::lake" because no identity-based policy allows '
                "the s3:ListBucket action"
            ),
            "s3:ListBucket",
            "arn:aws:s3:::lake",
        ),
        (
            "ec2",
            "RunInstances",
            (
                "You are not authorized to perform this operation. "
                f"User: {ROLE} is not authorized to perform: ec2:RunInstances on resource: "
                "arn:aws:ec2:ap-northeast-2:123456789012:instance/* because no identity-based "
                "policy allows the ec2:RunInstances action. "
                "Encoded authorization failure message: T-kSW_1"
            ),
            "ec2:RunInstances",
            "arn:aws:ec2:ap-northeast-2:123456789012:instance/*",
        ),
        ("sqs", "SendMessageBatch", "Access to the resource is denied.", "sqs:SendMessage", "*"),
        ("elbv2", "DescribeRules", "no", "elasticloadbalancing:DescribeRules", "*"),
    ],
)
def test_action_and_resource_are_named_with_the_statement_to_add(
    service: str, operation: str, message: str, action: str, resource: str
) -> None:
    text = sentence(denied(service, operation, message))
    head, _, statement = text.partition("; add to its policy: ")
    assert head.endswith(f" may not do {action} on {resource}")
    added = json.loads(statement[: statement.rindex("}") + 1])
    assert added == {"Effect": "Allow", "Action": action, "Resource": resource}
    assert text.endswith(f" ({service}.{operation})")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("operation", "parameters", "action", "resource"),
    [
        ("ListObjectsV2", {"Bucket": "lake", "Prefix": "x"}, "s3:ListBucket", "arn:aws:s3:::lake"),
        ("GetObject", {"Bucket": "lake", "Key": "a/b"}, "s3:GetObject", "arn:aws:s3:::lake/a/b"),
    ],
)
def test_where_s3_names_nothing_the_resource_is_what_was_asked_for(
    operation: str, parameters: dict[str, str], action: str, resource: str
) -> None:
    document = {"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}
    found = refusal(errors.from_response("s3", operation, document, 403, parameters))
    assert found is not None
    assert (found.action, found.resource) == (action, resource)


@pytest.mark.parametrize(
    ("end", "place"),
    [
        ("because no identity-based policy allows the dynamodb:Query action", "its policy"),
        ("because no permissions boundary allows the dynamodb:Query action", "the permissions bo"),
        ("because no resource-based policy allows the dynamodb:Query action", "the resource-based"),
        ("because no VPC endpoint policy allows the dynamodb:Query action", "the VPC endpoint"),
        ("", "its policy"),
    ],
)
def test_the_statement_goes_to_the_policy_that_lacks_it(end: str, place: str) -> None:
    assert f"; add to {place}" in sentence(denied("dynamodb", "Query", f"{QUERY} {end}"))


@pytest.mark.parametrize(
    ("end", "by"),
    [
        ("with an explicit deny in a service control policy", "the service control policy"),
        ("with an explicit deny in an identity-based policy.", "the identity-based policy"),
        (
            "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/p",
            "arn:aws:organizations::1:policy/p",
        ),
    ],
)
def test_no_statement_is_offered_against_an_explicit_deny(end: str, by: str) -> None:
    text = sentence(denied("dynamodb", "Query", f"{QUERY} {end}"))
    assert f"{by} denies it, so that no Allow helps" in text
    assert "add to" not in text


def test_an_encoded_refusal_comes_with_the_command_that_decodes_it() -> None:
    message = (
        "You are not authorized to perform this operation. "
        "Encoded authorization failure message: 6h34Gt-_x"
    )
    text = sentence(denied("ec2", "DescribeVpcs", message, "UnauthorizedOperation"))
    assert "aws sts decode-authorization-message --encoded-message 6h34Gt-_x" in text


def test_a_reason_of_cloudformation_is_kept_and_explained() -> None:
    error = RuntimeError(f"the stack ended as UPDATE_FAILED: RequestTable: {QUERY} (Service: D)")
    assert sentence(error).startswith(str(error))
    assert f'"Resource":"{TABLE}/index/GSI1"' in sentence(error)


@pytest.mark.parametrize("code", ["ExpiredTokenException", "ResourceNotFoundException"])
def test_an_error_of_another_kind_stays_as_it_is(code: str) -> None:
    error = denied("dynamodb", "Query", "no", code)
    assert refusal(error) is None
    assert sentence(error) == str(error)


def test_a_text_without_a_refusal_has_none() -> None:
    assert refusal_in("the stack ended as ROLLBACK_COMPLETE") is None


def test_who_is_not_reached_may_be_in_no_region() -> None:
    error = Transient("sqs", "SendMessage", "EndpointConnectionError", "Could not connect")

    assert sentence(error).endswith("(is there a network, and is AWS_REGION right?)")
