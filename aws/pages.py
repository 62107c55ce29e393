"""Answers that come in pages."""

from collections.abc import AsyncIterator
from typing import Any, Final

from aws.client import Client

_TOKEN: Final = ("NextToken", "NextToken")
_KEY: Final = ("LastEvaluatedKey", "ExclusiveStartKey")


async def pages(client: Client, operation: str, /, **asked: Any) -> AsyncIterator[dict[str, Any]]:
    """Call an operation until its last page; raises what `Client.call` raises."""
    # DynamoDB's Query alone names the end of a page and the beginning of the next by its key.
    ends, begins = _KEY if operation == "Query" else _TOKEN
    more: dict[str, Any] = {}
    while True:
        answer = await client.call(operation, **asked, **more)
        yield answer
        if not answer.get(ends):
            return
        more = {begins: answer[ends]}
