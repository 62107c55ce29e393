"""A client of SQS, DynamoDB and EventBridge that speaks JSON over its own connections.

The SDK still decides who calls, where AWS is and how it is reached; only the call itself, on which
the SDK spends about a millisecond of CPU time, is ours.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from time import perf_counter, time
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import NoCredentialsError
from botocore.httpsession import ProxyConfiguration, get_cert_path

from aws import errors
from aws.client import CallObserver, ClientOptions
from aws.errors import AwsError
from aws.lean import json
from aws.lean.answer import Answer
from aws.lean.clock import AwsClock
from aws.lean.http import Endpoint, Pool
from aws.lean.signature import Credentials, Head, Scope, Signer

SERVICES: Final = frozenset({"dynamodb", "events", "sqs"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class CredentialSource(Protocol):
    """The SDK session's credentials, renewed by it when they are about to expire."""

    async def get_frozen_credentials(self) -> Credentials:
        """The keys as they are now."""
        ...


class LeanClient:
    """A client of one service; `sdk_client` supplies the service's names, and is never called."""

    def __init__(
        self,
        sdk_client: Any,
        credentials: CredentialSource | None,
        pool: Pool,
        user_agent: str,
        observer: CallObserver,
    ) -> None:
        meta = sdk_client.meta
        self._model = meta.service_model
        self._service: str = self._model.service_name
        self._credentials = credentials
        self._pool = pool
        self.url: str = meta.endpoint_url
        self._user_agent = user_agent
        self._clock = AwsClock(self._service, time)
        self._signer = Signer(Scope(meta.region_name, self._model.signing_name))
        self._observer = observer
        self._operations: dict[str, _Operation] = {}

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """Call an operation; raises Transient, Fatal or Rejected."""
        known = self._operations.get(operation) or self._operation(operation)
        began = perf_counter()
        code: str | None = "Cancelled"
        try:
            body = json.encode(self._service, operation, parameters)
            del parameters  # they are large, and of no use while the call is under way
            response = await self._call(known, body)
        except AwsError as error:
            code = error.code
            for throttle in error.throttles:
                self._observer.throttled(self._service, operation, throttle)
            raise
        except Exception as error:
            translated = errors.translate(self._service, operation, error)
            code = translated.code
            raise translated from error
        else:
            code = None
            return response
        finally:
            self._observer.observe(self._service, operation, perf_counter() - began, code)

    async def _call(self, operation: "_Operation", body: bytes) -> dict[str, Any]:
        head = operation.head
        if self._credentials is None:
            raise NoCredentialsError
        # Requested on each call: the source renews temporary keys in time.
        credentials = await self._credentials.get_frozen_credentials()
        signed_at_s = self._clock.time()
        signed = self._signer.sign(head, body, credentials, signed_at_s)
        answer = await self._pool.post(signed, body)
        try:
            return self._decode(operation, answer)
        except AwsError as error:
            if not self._clock.corrected(error.code, answer.header("date"), signed_at_s):
                raise
        signed = self._signer.sign(head, body, credentials, self._clock.time())
        return self._decode(operation, await self._pool.post(signed, body))

    def _decode(self, operation: "_Operation", answer: Answer) -> dict[str, Any]:
        return json.decode(self._service, operation.name, answer, has_output=operation.has_output)

    def _operation(self, operation: str) -> "_Operation":
        """Look an operation up; raises AttributeError for an unknown one, as the SDK does."""
        if operation not in self._model.operation_names:
            raise AttributeError(f"{self._service} has no operation {operation}")
        metadata = self._model.metadata
        signed = {
            "content-type": f"application/x-amz-json-{metadata['jsonVersion']}",
            "x-amz-target": f"{metadata['targetPrefix']}.{operation}",
        }
        if "awsQueryCompatible" in metadata:
            # SQS then also sends the error codes that it used before it spoke JSON.
            signed["x-amzn-query-mode"] = "true"
        unsigned = {"accept-encoding": "identity", "user-agent": self._user_agent}
        output = self._model.operation_model(operation).output_shape
        known = self._operations[operation] = _Operation(
            operation,
            Head(host_header(self.url), signed, unsigned),
            has_output=output is not None and bool(output.members),
        )
        return known


@dataclass(frozen=True, slots=True)
class _Operation:
    """What all calls of an operation have in common."""

    name: str
    head: Head
    has_output: bool


def host_header(url: str) -> str:
    """The Host header for an endpoint: lower case, without the scheme's own port."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    own = parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme)
    return host if own else f"{host}:{parts.port}"


def can_reach(sdk_client: Any, transport: Mapping[str, Any]) -> bool:
    """Whether this module can do what the SDK would with its HTTP session's settings.

    Proxies, client certificates, unverified TLS and endpoints below a path are left to the SDK.
    """
    url: str = sdk_client.meta.endpoint_url
    proxies = ProxyConfiguration(transport.get("proxies"), transport.get("proxies_config"))
    return (
        bool(transport)
        and urlsplit(url).path in {"", "/"}
        and proxies.proxy_url_for(url) is None
        and transport.get("client_cert") is None
        and transport.get("verify") is not False
    )


@asynccontextmanager
async def open_lean(
    sdk_client: Any,
    credentials: CredentialSource | None,
    transport: Mapping[str, Any],
    options: ClientOptions,
    observer: CallObserver,
) -> AsyncIterator[LeanClient]:
    """Open a client with the settings that the SDK found for its own HTTP session."""
    url: str = sdk_client.meta.endpoint_url
    parts = urlsplit(url)
    tls = None
    if parts.scheme == "https":
        tls = ssl.create_default_context(cafile=get_cert_path(transport["verify"]))
    endpoint = Endpoint(
        url=url,
        host=parts.hostname or "",
        port=parts.port or _DEFAULT_PORTS[parts.scheme],
        tls=tls,
        connect_timeout_s=options.connect_timeout_s,
        timeout_s=options.read_timeout_s,
    )
    pool = Pool(endpoint, options.max_connections, Random())  # noqa: S311 - no secret
    try:
        yield LeanClient(sdk_client, credentials, pool, sdk_client.meta.config.user_agent, observer)
    finally:
        await pool.aclose()
