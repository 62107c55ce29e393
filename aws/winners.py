"""The winners of one event, in the order of their decisions, out of the shards of GSI2."""

import heapq
from collections.abc import AsyncIterator
from typing import Final

from aws.client import Client
from aws.pages import pages
from schema import keys, names
from schema.attributes import encode
from schema.items import RequestItem
from schema.states import Status

_Turn = tuple[int, str]


async def of_event(client: Client, table_name: str, event_id: str) -> AsyncIterator[RequestItem]:
    """Merge the shards; memory holds one page of each.

    Winners whom the first version queued and decided are under its key still, with all the other
    requests of their event, until they expire.
    """
    former = [
        item
        async for item in _requests(client, table_name, keys.former_event_index_pk(event_id))
        if item.status is Status.SUCCEEDED
    ]
    waiting: list[tuple[_Turn, int, RequestItem]] = [
        (_turn(item), _FORMER, item) for item in former
    ]
    shards = [
        _requests(client, table_name, keys.winners_index_pk(event_id, shard))
        for shard in range(keys.WINNER_SHARDS)
    ]
    for shard, requests in enumerate(shards):
        async for item in requests:
            waiting.append((_turn(item), shard, item))
            break
    heapq.heapify(waiting)
    while waiting:
        _, shard, item = heapq.heappop(waiting)
        yield item
        if shard != _FORMER:
            async for following in shards[shard]:
                heapq.heappush(waiting, (_turn(following), shard, following))
                break


_FORMER: Final = -1
"""In place of a shard: what was read already."""


def _turn(item: RequestItem) -> _Turn:
    return item.finished_at_ms or 0, item.request_id


async def _requests(client: Client, table_name: str, partition: str) -> AsyncIterator[RequestItem]:
    """What one partition of GSI2 holds, in the order of its sort key."""
    async for page in pages(
        client,
        "Query",
        TableName=table_name,
        IndexName=names.WINNERS_INDEX,
        KeyConditionExpression=f"{names.WINNERS_INDEX_PARTITION_KEY} = :partition",
        ExpressionAttributeValues={":partition": encode(partition)},
    ):
        for item in page.get("Items", ()):
            yield RequestItem.from_item(item)
