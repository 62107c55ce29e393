"""A client of the model: the adapters' calls, as JSON, without a wire between."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from aws.lean import json
from aws.lean.answer import Answer
from simulation.aws.cloud import Cloud

Transport: TypeAlias = Callable[[str, bytes], Awaitable[Answer]]
"""Brings a call (its `X-Amz-Target` and its body) to a service, and the answer back."""

_TARGETS: Final = {
    "dynamodb": "DynamoDB_20120810",
    "events": "AWSEvents",
    "sqs": "AmazonSQS",
}


class ModelClient:
    """A client of one service: encodes and decodes as the lean client does, by its own code."""

    def __init__(self, service: str, transport: Transport) -> None:
        self._service = service
        self._target = _TARGETS[service]
        self._transport = transport

    async def call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """Call an operation; raises Transient, Fatal or Rejected."""
        body = json.encode(self._service, operation, parameters)
        answer = await self._transport(f"{self._target}.{operation}", body)
        return json.decode(self._service, operation, answer)


def direct(cloud: Cloud, caller: str = "") -> Transport:
    """A transport without delays and faults: the model answers when it answers."""

    async def carry(target: str, body: bytes) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def respond(status: int, document: bytes) -> None:
            if not answered.done():
                answered.set_result(Answer(status, b"", document))

        cloud.account.caller = caller
        cloud.handle(target, body, respond)
        return await answered

    return carry
