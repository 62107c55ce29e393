"""What an operator changes of an event: its times and its seats, each in one transaction."""

from random import Random
from typing import Any, Final

import anyio

from aws import statements
from aws.client import Client
from aws.errors import Rejected, Transient
from aws.pages import pages
from runtime import backoff
from schema import keys, names
from schema.attributes import encode
from schema.items import MAX_SEATS, EventConfig

_TRIES: Final = 50
_BACKOFF_BASE_S: Final = 0.02
_BACKOFF_MAX_S: Final = 0.3
"""About seven seconds: workers that sell an event are in the way most of the time."""
_AWAY_TRIES: Final = 4
"""Where the table does not answer."""
_CONDITION: Final = "ConditionalCheckFailed"
_BUSY: Final = frozenset(
    {"None", "ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"}
)


class EventChanges:
    """Changes events, and lists them.

    A change also enters the event in the list, which events of earlier versions are missing from.
    """

    def __init__(self, client: Client, table_name: str, random: Random) -> None:
        self._client = client
        self._table_name = table_name
        self._random = random

    async def ids(self) -> list[str]:
        """The ids of all listed events, in their order, by Queries of one partition."""
        asked = pages(
            self._client,
            "Query",
            TableName=self._table_name,
            KeyConditionExpression=f"{names.PARTITION_KEY} = :list",
            ExpressionAttributeValues={":list": encode(keys.EVENT_LIST_PK)},
        )
        return [
            str(item[names.SORT_KEY]["S"]) async for page in asked for item in page.get("Items", ())
        ]

    async def set_times(self, before: EventConfig, after: EventConfig) -> bool:
        """Set when an event opens and closes; False, and nothing changed, if it is not `before`."""
        values = {":type": encode(before.event_type)}
        sets, removes, conditions = [], [], ["eventType = :type"]
        for name, old, new in (
            ("opensAt", before.opens_at_ms, after.opens_at_ms),
            ("closesAt", before.closes_at_ms, after.closes_at_ms),
        ):
            if old is None:
                conditions.append(f"attribute_not_exists({name})")
            else:
                values[f":old_{name}"] = encode(old)
                conditions.append(f"{name} = :old_{name}")
            if new is None:
                removes.append(name)
            else:
                values[f":{name}"] = encode(new)
                sets.append(f"{name} = :{name}")
        clauses = [("SET", sets), ("REMOVE", removes)]
        update = " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses if parts)
        return await self._update(
            before.event_id, keys.CONFIG_SORT_KEY, update, " AND ".join(conditions), values
        )

    async def add_seats(self, event_id: str, seats: int) -> bool:
        """Raise the total and the remaining seats together; False where the event has none stored,
        or would have more than MAX_SEATS.

        `updatedAt` stays: it says when the seller last sold (domain §6). Raises Transient where
        it is unknown whether the seats were added.
        """
        update = (
            "SET capacityTotal = capacityTotal + :seats,"
            " capacityRemaining = capacityRemaining + :seats"
        )
        condition = "capacityTotal <= :most AND attribute_exists(capacityRemaining)"
        values = {":seats": encode(seats), ":most": encode(MAX_SEATS - seats)}
        return await self._update(event_id, keys.CAPACITY_SORT_KEY, update, condition, values)

    async def _update(
        self, event_id: str, sort_key: str, update: str, condition: str, values: dict[str, Any]
    ) -> bool:
        """Update one of an event's items on a condition; False where the condition fails.

        The token makes a repetition harmless, should the first try have taken effect unanswered
        (AWS: ClientRequestToken).
        """
        item = {
            "TableName": self._table_name,
            "Key": statements.event_key(event_id, sort_key),
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
        }
        actions = [{"Update": item}, statements.listed_event_action(self._table_name, event_id)]
        token = f"{self._random.getrandbits(128):032x}"
        attempt = 1
        while True:
            try:
                await self._client.call(
                    "TransactWriteItems", TransactItems=actions, ClientRequestToken=token
                )
            except Rejected as error:
                if error.code != "TransactionCanceledException":
                    raise
                reasons = {r.get("Code") for r in error.response.get("CancellationReasons", ())}
                if _CONDITION in reasons:
                    return False
                if attempt == _TRIES or not reasons <= _BUSY:
                    raise
            except Transient as error:
                if attempt >= (_TRIES if error.is_busy else _AWAY_TRIES):
                    raise
            else:
                return True
            wait_s = backoff.full_delay_s(attempt, _BACKOFF_BASE_S, _BACKOFF_MAX_S, self._random)
            await anyio.sleep(wait_s)
            attempt += 1
