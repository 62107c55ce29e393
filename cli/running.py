"""Runs a coroutine on uvloop, as every command does."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple, Unpack

import anyio

from config.settings import AwsSettings

if TYPE_CHECKING:
    from aws.client import Connection

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def run_async(function: Callable[[Unpack[Ts]], Awaitable[T]], *arguments: *Ts) -> T:
    """Run to the end and return the result."""
    return anyio.run(function, *arguments, backend_options={"use_uvloop": True})


def connection_of(settings: AwsSettings) -> "Connection":
    """Where AWS is, from the settings; credentials come from the SDK's own chain."""
    from aws.client import Connection

    return Connection(settings.aws_region, settings.aws_endpoint_url, client=settings.aws_client)
