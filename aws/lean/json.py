"""AWS's JSON protocol without the SDK's models: request bodies, answers and error documents."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from math import floor
from typing import Any, Final

import orjson

from aws.errors import AwsError, Rejected, Transient, from_response
from aws.lean.answer import Answer

_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATETIME
_OK: Final = 200
_FIRST_ERROR_STATUS: Final = 400
_FIRST_SERVER_ERROR: Final = 500
_QUERY_ERROR: Final = "x-amzn-query-error"


def encode(service: str, operation: str, parameters: Mapping[str, Any]) -> bytes:
    """The request's body; raises Rejected for what JSON cannot hold."""
    try:
        return orjson.dumps(parameters, default=_epoch_seconds, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        raise Rejected(service, operation, "ParamValidationError", str(error)) from error


def _epoch_seconds(value: object) -> int:
    """The protocol's form of a time: whole seconds, as botocore writes them."""
    if isinstance(value, datetime):
        return floor(value.timestamp())
    raise TypeError(f"{type(value).__name__} cannot be a parameter")


def decode(
    service: str, operation: str, answer: Answer, *, has_output: bool = True
) -> dict[str, Any]:
    """The document of a successful answer; raises the error that the answer reports.

    Only 200 with a JSON object is a success, or with no body where the operation has no output
    (SQS: DeleteMessage); whether anything else below 400 took effect is unknown. (botocore takes it
    for an answer without fields: a transaction would count as committed.)
    """
    if answer.status >= _FIRST_ERROR_STATUS:
        raise _error(service, operation, answer)
    if answer.status != _OK:
        raise _unreadable(service, operation, f"the status is {answer.status}")
    if not answer.body and not has_output:
        return {}
    try:
        document: Any = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise _unreadable(service, operation, str(error)) from error
    if not isinstance(document, dict):
        raise _unreadable(service, operation, "the answer is not a JSON object")
    found: dict[str, Any] = without_nulls(document) if b"null" in answer.body else document
    return found


def without_nulls(document: Any) -> Any:
    """The document without the fields that are null, which the SDK leaves out."""
    if isinstance(document, dict):
        return {k: without_nulls(v) for k, v in document.items() if v is not None}
    if isinstance(document, list):
        return [without_nulls(value) for value in document]
    return document


def _unreadable(service: str, operation: str, reason: str) -> Transient:
    return Transient(service, operation, "ResponseParserError", reason)


def _error(service: str, operation: str, answer: Answer) -> AwsError:
    """Translate an error document, with the code that the SDK would choose."""
    status = answer.status
    error: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    body = answer.body.strip()
    if status >= _FIRST_SERVER_ERROR and (not body or body.startswith(b"<html>")):
        error = {"Code": str(status), "Message": _phrase(status)}  # a load balancer's own answer
    else:
        fields = _fields(answer.body)
        code = str(fields.pop("__type", status)).split(":", 1)[0].rsplit("#", 1)[-1]
        error["Message"] = fields.get("message", fields.get("Message", ""))
        error["Code"] = code
        # SQS's error codes from before it spoke JSON, which the SDK still reports.
        parts = (answer.header(_QUERY_ERROR) or "").split(";")
        if len(parts) == 2 and parts[0]:  # noqa: PLR2004 - the code and who is to blame
            error |= {"Code": parts[0], "QueryErrorCode": code, "Type": parts[1]}
    metadata: dict[str, Any] = {"HTTPStatusCode": status}
    if request_id := answer.header("x-amzn-requestid"):
        metadata["RequestId"] = request_id
    response = fields | {"Error": error, "ResponseMetadata": metadata}
    return from_response(service, operation, response, status)


def _fields(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        return {"message": body.decode(errors="replace")}
    if isinstance(document, dict):
        return {key: without_nulls(value) for key, value in document.items() if value is not None}
    return {"message": str(document)}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
