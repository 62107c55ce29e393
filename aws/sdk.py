"""AWS clients behind one small interface that times every call and translates its errors."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from time import perf_counter
from typing import Any, Final

import aioboto3
import aiobotocore
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore import xform_name
from botocore.loaders import Loader, create_loader

from aws import errors
from aws.client import CallObserver, Client, ClientOptions, Connection, Opener, Unobserved
from aws.lean.client import SERVICES, can_reach, open_lean
from aws.sdk_parser import session_with_plain_parser

_USER_AGENT: Final = f"participation-pipeline aiobotocore/{aiobotocore.__version__}"


class SdkClient:
    """A client of aioboto3."""

    def __init__(self, service: str, sdk_client: Any, observer: CallObserver) -> None:
        self._service = service
        self._sdk_client = sdk_client
        self._observer = observer
        self._methods: dict[str, Callable[..., Any]] = {}

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """Call an operation; raises Transient, Fatal or Rejected."""
        method = self._methods.get(operation)
        if method is None:
            method = getattr(self._sdk_client, xform_name(operation))
            self._methods[operation] = method
        began = perf_counter()
        code: str | None = "Cancelled"
        try:
            response: dict[str, Any] = await method(**parameters)
        except Exception as error:
            translated = errors.translate(self._service, operation, error, parameters)
            code = translated.code
            for throttle in translated.throttles:
                self._observer.throttled(self._service, operation, throttle)
            raise translated from error
        else:
            code = None
            return response
        finally:
            self._observer.observe(self._service, operation, perf_counter() - began, code)


class _Transport:
    """Stands in for the SDK's HTTP session class, to see the settings that it is made with."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def __call__(self, **settings: Any) -> AIOHTTPSession:
        self.settings = settings
        return AIOHTTPSession(**settings)


@asynccontextmanager
async def open_client(
    service: str,
    connection: Connection,
    options: ClientOptions | None = None,
    observer: CallObserver | None = None,
) -> AsyncIterator[Client]:
    """Open a client of one service (`sqs`, `dynamodb`, `events`, `s3`, …) and close it at the end.

    Raises Fatal where the SDK cannot even be set up (no region, an incomplete profile).
    """
    options, observer = options or ClientOptions(), observer or Unobserved()
    botocore_session = session_with_plain_parser()
    session = aioboto3.Session(
        aws_access_key_id=connection.access_key_id,
        aws_secret_access_key=connection.secret_access_key,
        region_name=connection.region,
        botocore_session=botocore_session,
    )
    # Last: aioboto3 adds a folder of its own to the loader that it finds.
    models = _models(botocore_session.get_config_variable("data_path"))
    botocore_session.register_component("data_loader", models)
    transport = _Transport()
    sdk = session.client(
        service,
        endpoint_url=options.endpoint_url or connection.endpoint_url,
        config=_config(connection, options, transport),
    )
    async with sdk as sdk_client:
        wants_lean = connection.client == "lean" and service in SERVICES
        if wants_lean and can_reach(sdk_client, transport.settings):
            credentials = await session.get_credentials()
            async with open_lean(
                sdk_client, credentials, transport.settings, options, observer
            ) as client:
                yield client
        else:
            yield SdkClient(service, sdk_client, observer)


def opener(connection: Connection) -> Opener:
    """The opener of clients for one connection."""

    def open_it(
        service: str, options: ClientOptions, observer: CallObserver
    ) -> AbstractAsyncContextManager[Client]:
        return open_client(service, connection, options, observer)

    return open_it


@cache
def _models(data_path: str | None) -> Loader:
    """The SDK's service models, read once for all clients: half of what opening a client costs."""
    return create_loader(data_path)


def _config(connection: Connection, options: ClientOptions, transport: _Transport) -> AioConfig:
    return AioConfig(
        http_session_cls=transport,
        max_pool_connections=options.max_connections,
        connect_timeout=options.connect_timeout_s,
        read_timeout=options.read_timeout_s,
        retries={"total_max_attempts": 1, "mode": "standard"},
        parameter_validation=False,
        # Otherwise botocore composes the same text twice for each call: 4% of a call's cost.
        user_agent=_USER_AGENT,
        s3={"addressing_style": "path"} if connection.endpoint_url else {},
    )
