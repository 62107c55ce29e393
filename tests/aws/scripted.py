"""A client in memory: it answers as a test says, and remembers its calls.

It is for what the model of AWS (`tests/aws/model.py`) never answers: documents with parts missing,
descriptions of resources that are not as they should be.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from aws.client import CallObserver, Client, ClientOptions

Answer = dict[str, Any]
Answering = Callable[..., Awaitable[Answer]]


@dataclass(slots=True)
class ScriptedClient:
    """Gives its answers in turn: a document, an error to raise, or a coroutine function to call."""

    answers: list[Answer | Exception | Answering] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    """When each call was made, by the loop's clock."""

    async def call(self, operation: str, /, **parameters: Any) -> Answer:
        """Remember the call and give the next answer; the last one is repeated forever."""
        self.calls.append((operation, parameters))
        self.times_s.append(anyio.current_time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, dict):
            return answer
        return await answer(operation, **parameters)

    @property
    def operations(self) -> list[str]:
        """The operations called, in order."""
        return [operation for operation, _ in self.calls]

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the only call."""
        ((_, parameters),) = self.calls
        return parameters


@dataclass(slots=True)
class ScriptedClients:
    """Opens clients that all answer alike; notes which are open, with which pool and timeout."""

    answer: Answering
    open: dict[str, ClientOptions] = field(default_factory=dict)

    @asynccontextmanager
    async def opener(
        self, service: str, options: ClientOptions, observer: CallObserver
    ) -> AsyncIterator[Client]:
        """Open a client, and report one call of it (`Open`) to its observer."""
        observer.observe(service, "Open", 0.0, None)
        self.open[service] = options
        try:
            yield ScriptedClient([self.answer])
        finally:
            del self.open[service]
