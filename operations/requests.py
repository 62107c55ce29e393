"""Finds requests for whoever answers a user's question: one by its id, or those of one user."""

from random import Random
from typing import Final

from aws.client import Connection
from aws.sdk import open_client
from aws.table import Page, Table
from schema.items import RequestItem

_RANDOM: Final = Random()  # noqa: S311 - spreads repeated reads, no secret


class RequestUnreadableError(Exception):
    """The stored item breaks the contract (domain §3); the text says how."""


async def find(connection: Connection, table_name: str, request_id: str) -> RequestItem | None:
    """One request as it is now; None where there is none. Raises RequestUnreadableError."""
    async with open_client("dynamodb", connection) as dynamodb:
        loaded = await Table(dynamodb, table_name, _RANDOM).load([request_id])
    if request_id in loaded.unreadable:
        raise RequestUnreadableError(loaded.unreadable[request_id])
    return loaded.requests.get(request_id)


async def of_user(
    connection: Connection,
    table_name: str,
    user_id: str,
    limit: int,
    after: tuple[int, str] | None = None,
) -> Page:
    """One page of a user's requests, newest first, from QUEUED on (domain §3).

    `after` is the queuedAt and the request id of the last one seen.
    """
    async with open_client("dynamodb", connection) as dynamodb:
        return await Table(dynamodb, table_name, _RANDOM).user_requests(user_id, limit, after)
