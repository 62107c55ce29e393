"""What an operator can do where AWS refuses a call or is not reached."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import orjson

from aws.errors import AwsError

_REFUSALS: Final = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "Forbidden",
        "NotAuthorized",
        "UnauthorizedOperation",
    }
)
# IAM User Guide, "Troubleshoot access denied error messages".
_ACTION: Final = re.compile(r"authorized to perform:? (?P<action>[\w-]+:\w+)")
_CALLER: Final = re.compile(r"User: (?P<caller>\S+) is not authorized")
_RESOURCE: Final = re.compile(r"on (?:the )?resource: \"?(?P<resource>arn:[^\s\",]+)")
_LACKING: Final = re.compile(r"because no (?P<policy>[A-Za-z -]+) allows")
_DENYING: Final = re.compile(
    r"with an explicit deny in an? (?P<policy>[A-Za-z -]+)(?:: (?P<arn>arn:\S+))?"
)
_ENCODED: Final = re.compile(r"Encoded authorization failure message: (?P<message>\S+)")
_UNREACHABLE: Final = "EndpointConnectionError"
_ITS_OWN: Final = "identity-based policy"

_PREFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
)
"""Services whose actions begin otherwise than the SDK's name of the service."""
_ACTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "s3:DeleteObjects": "s3:DeleteObject",
        "s3:HeadBucket": "s3:ListBucket",
        "s3:HeadObject": "s3:GetObject",
        "s3:ListObjectsV2": "s3:ListBucket",
    }
)
"""Operations that need an action of another name; SQS's batches need that of a single message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A call that a policy does not allow."""

    caller: str
    """The ARN of who called; empty where AWS does not say."""
    action: str
    resource: str
    """An ARN; `*` where AWS names none, as for actions that concern no single resource."""
    policy: str
    """The kind of policy that lacks the action, or denies it."""
    denied_by: str | None
    """The policy that denies it, as far as AWS says; None where an Allow is all that is missing."""

    @property
    def statement(self) -> str:
        """What the policy needs, as JSON on one line."""
        allow = {"Effect": "Allow", "Action": self.action, "Resource": self.resource}
        return orjson.dumps(allow).decode()

    @property
    def what(self) -> str:
        """Who may not do what."""
        return f"{self.caller or 'this role'} may not do {self.action} on {self.resource}"

    @property
    def remedy(self) -> str:
        """What changes that."""
        if self.denied_by is not None:
            return f"{self.denied_by} denies it, so that no Allow helps"
        where = "its policy" if self.policy == _ITS_OWN else f"the {self.policy}"
        return f"add to {where}: {self.statement}"

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


def refusal(error: AwsError) -> Refusal | None:
    """What the caller lacks; None for an error of another kind."""
    found = refusal_in(error.message)
    if found is not None or error.code.rsplit("#", 1)[-1] not in _REFUSALS:
        return found
    return Refusal(
        caller="",
        action=_action(error.service, error.operation),
        resource=_asked_for(error),
        policy=_ITS_OWN,
        denied_by=None,
    )


def refusal_in(text: str) -> Refusal | None:
    """What a text of AWS says the caller lacks, as CloudFormation's and Athena's reasons do."""
    action = _ACTION.search(text)
    if action is None:
        return None
    caller, resource = _CALLER.search(text), _RESOURCE.search(text)
    lacking, denying = _LACKING.search(text), _DENYING.search(text)
    kind = lacking or denying
    denied_by = None
    if denying is not None:
        denied_by = denying["arn"] or f"the {denying['policy'].strip()}"
    return Refusal(
        caller="" if caller is None else caller["caller"],
        action=action["action"],
        resource="*" if resource is None else resource["resource"].rstrip(".;)"),
        policy=_ITS_OWN if kind is None else kind["policy"].strip(),
        denied_by=denied_by,
    )


def sentence(error: Exception) -> str:
    """An error for an operator, with what to look at, or what to add to which policy."""
    if not isinstance(error, AwsError):
        found = refusal_in(str(error))
        return str(error) if found is None else f"{error} ({found})"
    encoded = _ENCODED.search(error.message)
    if encoded is not None and _ACTION.search(error.message) is None:
        return (
            f"{error.service}.{error.operation} is not allowed; AWS says why to "
            f"`aws sts decode-authorization-message --encoded-message {encoded['message']}`"
        )
    if error.code == _UNREACHABLE:
        return f"{error} (is there a network, and is AWS_REGION right?)"
    found = refusal(error)
    if found is None:
        return str(error)
    request = f", request {error.request_id}" if error.request_id else ""
    return f"{found} ({error.service}.{error.operation}{request})"


def _action(service: str, operation: str) -> str:
    if service == "sqs":
        operation = operation.removesuffix("Batch")
    action = f"{_PREFIXES.get(service, service)}:{operation}"
    return _ACTIONS.get(action, action)


def _asked_for(error: AwsError) -> str:
    """The resource by what was asked: S3 names it in few of its refusals."""
    bucket = error.parameters.get("Bucket")
    if bucket is None:
        return "*"
    key = "" if "Key" not in error.parameters else f"/{error.parameters['Key']}"
    return f"arn:aws:s3:::{bucket}{key}"
