"""Answers that come in pages."""

from collections.abc import AsyncIterator
from typing import Any

from aws.client import Client


async def pages(client: Client, operation: str, /, **asked: Any) -> AsyncIterator[dict[str, Any]]:
    """Call an operation until its last page; raises what `Client.call` raises."""
    token: str | None = None
    while True:
        answer = await client.call(operation, **asked, **({"NextToken": token} if token else {}))
        yield answer
        token = answer.get("NextToken")
        if not token:
            return
