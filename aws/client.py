"""What a client is and how it is set up, without the SDK: adapters need no more than this."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from aws.errors import Throttle

ClientKind = Literal["lean", "aioboto3"]


@dataclass(frozen=True, slots=True)
class Connection:
    """Where AWS is and who calls it; without keys the SDK's own credential chain is used."""

    region: str
    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    client: ClientKind = "lean"
    """`lean` calls SQS, DynamoDB and EventBridge without the SDK."""


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """One client's connection pool and timeouts (seconds).

    `read_timeout_s` is how long a service may take from the request to the end of its answer;
    the SDK's own client takes it for the longest silence.

    botocore's default pool of 10 connections starves long polls, so the pool's size is always
    given. The SDK's own retries are off: each caller retries as its own rules say.
    """

    max_connections: int = 10
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 10.0
    endpoint_url: str | None = None
    """Overrides the connection's endpoint for this client alone."""


class CallObserver(Protocol):
    """Learns of every call when it ends, and of what services refuse for its rate."""

    def observe(self, service: str, operation: str, seconds: float, code: str | None) -> None:
        """Take note of one call; `code` is None for a success."""
        ...

    def throttled(self, service: str, operation: str, throttle: Throttle) -> None:
        """Take note of one throttle: of a call, or of a part of one that succeeded otherwise."""
        ...


class Unobserved:
    """For calls that nobody counts."""

    def observe(self, service: str, operation: str, seconds: float, code: str | None) -> None:
        """As `CallObserver`."""

    def throttled(self, service: str, operation: str, throttle: Throttle) -> None:
        """As `CallObserver`."""


class Client(Protocol):
    """One AWS service, called by operation name."""

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """Call an operation (`ReceiveMessage`); raises Transient, Fatal or Rejected."""
        ...


Opener: TypeAlias = Callable[
    [str, ClientOptions, CallObserver], AbstractAsyncContextManager[Client]
]
"""Opens a client of a service (`sqs`, `dynamodb`, `events`) for the length of a block.

The observer learns of the client's calls. Raises Fatal where the client cannot be set up.
"""
