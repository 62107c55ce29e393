"""A client in memory: it answers as a test says, and remembers its calls."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Answer = dict[str, Any]
Answering = Callable[..., Awaitable[Answer]]


@dataclass(slots=True)
class ScriptedClient:
    """Gives its answers in turn: a document, an error to raise, or a coroutine function to call."""

    answers: list[Answer | Exception | Answering] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def call(self, operation: str, /, **parameters: Any) -> Answer:
        """Remember the call and give the next answer; the last one is repeated forever."""
        self.calls.append((operation, parameters))
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
