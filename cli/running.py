"""Runs a coroutine on uvloop, as every command does."""

import os
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


def audited(settings: AwsSettings, event: str, **fields: object) -> None:
    """Log what an operator changed; CloudTrail has who called AWS, this who typed it."""
    import structlog

    from config import logs

    logs.configure("info", settings.log_format)
    by = os.environ.get("USER") or f"uid {os.getuid()}"
    structlog.get_logger("audit").info(event, by=by, **fields)


def connection_of(settings: AwsSettings) -> "Connection":
    """Where AWS is, from the settings; credentials come from the SDK's own chain."""
    from aws.client import Connection

    return Connection(settings.aws_region, settings.aws_endpoint_url, client=settings.aws_client)
