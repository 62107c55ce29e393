"""The lean client's signatures are botocore's, byte for byte."""

import string
from datetime import UTC, datetime
from email.parser import BytesParser
from unittest.mock import patch

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from aws.lean.client import host_header
from aws.lean.signature import Head, Scope, Signer

NAMES = st.text(string.ascii_letters + string.digits + "+/=-_.", min_size=1, max_size=40)
PRINTABLE = st.text(string.ascii_letters + string.digits + " ;,/()%{}", min_size=1, max_size=40)
ENDPOINTS = st.sampled_from(
    [
        "https://sqs.ap-northeast-2.amazonaws.com",
        "https://sqs.ap-northeast-2.amazonaws.com:443/",
        "https://SQS.eu-west-1.amazonaws.com:8443",
        "http://127.0.0.1:80",
        "http://localhost:4566/",
        "http://[::1]:4566",
    ]
)
SECONDS = st.integers(0, 4_000_000_000)


def by_botocore(
    url: str, headers: dict[str, str], body: bytes, keys: Credentials, scope: Scope, at_s: int
) -> dict[str, str]:
    request = AWSRequest("POST", url, headers, body)
    with patch("botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(at_s, UTC)):
        SigV4Auth(keys, scope.signing_name, scope.region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def sent(head: bytes) -> dict[str, str]:
    line, _, rest = head.partition(b"\r\n")
    assert line == b"POST / HTTP/1.1"
    message = BytesParser().parsebytes(rest)
    return {name.lower(): str(value) for name, value in message.items()}


@given(
    url=ENDPOINTS,
    target=NAMES,
    media_type=PRINTABLE,
    query_mode=st.booleans(),
    body=st.binary(max_size=300),
    access_key=NAMES,
    secret_key=PRINTABLE,
    token=st.none() | NAMES,
    region=NAMES,
    service=NAMES,
    at_s=SECONDS,
)
def test_every_request_is_signed_as_botocore_signs_it(
    url: str,
    target: str,
    media_type: str,
    query_mode: bool,  # noqa: FBT001 - hypothesis passes by name
    body: bytes,
    access_key: str,
    secret_key: str,
    token: str | None,
    region: str,
    service: str,
    at_s: int,
) -> None:
    signed = {"content-type": media_type, "x-amz-target": target}
    if query_mode:
        signed["x-amzn-query-mode"] = "true"
    keys, scope = Credentials(access_key, secret_key, token), Scope(region, service)
    expected = by_botocore(url, signed, body, keys, scope, at_s)

    head = Head(host_header(url), signed, {"user-agent": "lean"})
    frozen = ReadOnlyCredentials(access_key, secret_key, token)
    found = sent(Signer(scope).sign(head, body, frozen, at_s))

    for name in ("authorization", "x-amz-date", "x-amz-security-token"):
        assert found.get(name) == expected.get(name)
    assert found["content-length"] == str(len(body))
    assert found["user-agent"] == "lean"


@given(
    requests=st.lists(
        st.tuples(SECONDS, st.sampled_from(["one", "another"]), st.none() | st.just("token")),
        min_size=2,
        max_size=6,
    )
)
def test_a_signer_forgets_its_key_with_the_day_and_with_the_credentials(
    requests: list[tuple[int, str, str | None]],
) -> None:
    scope = Scope("ap-northeast-2", "dynamodb")
    signer = Signer(scope)
    url, signed = "https://localhost", {"x-amz-target": "DynamoDB_20120810.GetItem"}
    head = Head("localhost", signed, {})
    for at_s, secret_key, token in requests:
        keys = Credentials("id", secret_key, token)
        expected = by_botocore(url, signed, b"{}", keys, scope, at_s)

        frozen = ReadOnlyCredentials("id", secret_key, token)
        found = sent(signer.sign(head, b"{}", frozen, at_s))

        assert found["authorization"] == expected["authorization"]
