"""Service quotas by their names: what the account has, else AWS's default."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio

from aws.client import Client
from aws.errors import Rejected, Transient
from aws.pages import pages
from operations.account.facts import Quota

_PAGE: Final = 100
"""AWS: Service Quotas ListServiceQuotas, MaxResults."""
_ATTEMPTS: Final = 4
_BACKOFF_S: Final = 0.5
_REMARK: Final = re.compile(r"\s*\([^)]*\)")


async def of_service(service_quotas: Client, service: str) -> Mapping[str, Quota]:
    """A service's quotas by `key_of` their names.

    What was never raised may be missing in what the account has: AWS's default stands in for it.
    """
    client = _Patient(service_quotas)
    asked: dict[str, Any] = {"ServiceCode": service, "MaxResults": _PAGE}
    found: dict[str, Quota] = {}
    async for page in pages(client, "ListAWSDefaultServiceQuotas", **asked):
        found |= _read(service, page, is_default=True)
    try:
        async for page in pages(client, "ListServiceQuotas", **asked):
            found |= _read(service, page, is_default=False)
    except Rejected as error:
        if error.code != "NoSuchResourceException":  # nothing of this service was ever raised
            raise
    return found


def key_of(name: str) -> str:
    """A quota's name without what it has in brackets: AWS words that in several ways."""
    return _REMARK.sub("", name).strip().lower()


def _read(service: str, page: Mapping[str, Any], *, is_default: bool) -> Mapping[str, Quota]:
    """A page's quotas; one that AWS could not look up has an error in place of its value."""
    return {
        key_of(document["QuotaName"]): Quota(
            service=service,
            code=str(document["QuotaCode"]),
            name=str(document["QuotaName"]),
            value=float(document["Value"]),
            is_adjustable=bool(document.get("Adjustable", False)),
            is_default=is_default,
        )
        for document in page.get("Quotas", ())
        if "Value" in document and "ErrorReason" not in document
    }


@dataclass(frozen=True, slots=True)
class _Patient:
    """Calls again after a while where the service is asked too often: it allows few calls."""

    client: Client

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        for attempt in range(1, _ATTEMPTS):
            try:
                return await self.client.call(operation, **parameters)
            except Transient as error:
                if not error.is_throttle:
                    raise
            await anyio.sleep(_BACKOFF_S * 2 ** (attempt - 1))
        return await self.client.call(operation, **parameters)
