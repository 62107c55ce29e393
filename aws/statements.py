"""The texts of our writes: update expressions and PartiQL statements, each made only once."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from schema import keys, names
from schema.attributes import AttributeValue, encode
from schema.items import PLACE_PREFIX, Capacity, Change, RequestItem
from schema.values import value

Assignments = Mapping[str, str | int | bool]


_GONE_AT_MOST: Final = 100
"""Names that one update removes: an expression has 4 KB at most (AWS: "Expression parameters")."""


@value(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the worker that has the turn to sell writes of it (domain §6)."""

    name: str
    """Its own."""
    seller: str | None
    """Who has the turn from now on: itself, the next in line, or nobody."""
    place: str | None = None
    """Its new place in line, if it takes one; else it has none."""
    gone: Sequence[str] = ()
    """Others that are in line no more; of very many, those that are left go later."""

    def update(self) -> tuple[str, str, dict[str, AttributeValue]]:
        """What an update expression sets, what it removes, and the values of the former."""
        sets, removes, values = "", [PLACE_PREFIX + name for name in self.gone[:_GONE_AT_MOST]], {}
        if self.seller is None:
            removes.append("seller")
        else:
            sets, values = ", seller = :seller", {":seller": encode(self.seller)}
        if self.place is None:
            removes.append(PLACE_PREFIX + self.name)
        else:
            sets += f", {PLACE_PREFIX}{self.name} = :place"
            values[":place"] = encode(self.place)
        return sets, f" REMOVE {', '.join(removes)}" if removes else "", values


_MARKED: Final = (
    "status",
    "queuedAt",
    names.USER_INDEX_PARTITION_KEY,
    names.USER_INDEX_SORT_KEY,
)
_REQUEST_SORT_KEY: Final[AttributeValue] = {"S": keys.REQUEST_SORT_KEY}
_KEY_CONDITION: Final = f'"{names.PARTITION_KEY}"=? AND "{names.SORT_KEY}"=?'


def request_key(request_id: str) -> dict[str, AttributeValue]:
    """The table key of a request item."""
    return _key(keys.request_pk(request_id), _REQUEST_SORT_KEY)


def event_key(event_id: str, sort_key: str) -> dict[str, AttributeValue]:
    """The table key of an event's configuration or capacity item."""
    return _key(keys.event_pk(event_id), {"S": sort_key})


def listed_event_action(table: str, event_id: str) -> dict[str, Any]:
    """An event's entry in the list of events, as an action of TransactWriteItems; repeatable."""
    return {"Put": {"TableName": table, "Item": _key(keys.EVENT_LIST_PK, {"S": event_id})}}


def update_action(table: str, change: Change) -> dict[str, Any]:
    """One request's step as an action of TransactWriteItems, on condition of the status read."""
    assignments = change.assignments()
    expression, attribute_names, placeholders = _update_expression(tuple(assignments))
    values = dict(zip(placeholders, assignments.values(), strict=True))
    values[":read"] = {"S": change.before.status.value}
    return {
        "Update": {
            "TableName": table,
            "Key": request_key(change.before.request_id),
            "UpdateExpression": expression,
            "ConditionExpression": "#status = :read",
            "ExpressionAttributeNames": attribute_names,
            "ExpressionAttributeValues": values,
        }
    }


def take_seats_action(
    table: str, event_id: str, seats: int, at_ms: int, mark: Mark | None = None
) -> dict[str, Any]:
    """The capacity's decrement by `seats`, on condition that `seats` are left (domain §4).

    With it the turn to sell is kept or passed on; who sells without one leaves it as it is.
    """
    sets, removes, values = ("", "", {}) if mark is None else mark.update()
    return {
        "Update": {
            "TableName": table,
            "Key": event_key(event_id, keys.CAPACITY_SORT_KEY),
            "UpdateExpression": (
                "SET capacityRemaining = capacityRemaining - :seats, updatedAt = :at"
                f"{sets}{removes}"
            ),
            "ConditionExpression": "capacityRemaining >= :seats",
            "ExpressionAttributeValues": {
                ":seats": encode(seats),
                ":at": encode(at_ms),
                **values,
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def take_turn_update(
    table: str, event_id: str, seller: str, at_ms: int, idle: Capacity | None
) -> dict[str, Any]:
    """The parameters of an UpdateItem that takes the turn, if it is free or `idle` has it still.

    Whoever `idle` shows in line goes with it: who is there still takes a place again.
    """
    values = {":seller": encode(seller), ":at": encode(at_ms)}
    free, gone = "attribute_not_exists(seller)", [seller]
    if idle is not None and idle.seller is not None and idle.updated_at_ms is not None:
        free = f"({free} OR (seller = :idle AND updatedAt = :since))"
        values |= {":idle": encode(idle.seller), ":since": encode(idle.updated_at_ms)}
        gone += sorted(set(idle.line) - {seller})[:_GONE_AT_MOST]
    places = ", ".join(PLACE_PREFIX + name for name in gone)
    return {
        **_update_of_capacity(table, event_id),
        "UpdateExpression": f"SET seller = :seller, updatedAt = :at REMOVE {places}",
        "ConditionExpression": f"attribute_exists(capacityRemaining) AND {free}",
        "ExpressionAttributeValues": values,
    }


def line_up_update(table: str, event_id: str, name: str, place: str) -> dict[str, Any]:
    """The parameters of an UpdateItem that takes a place in line."""
    return {
        **_update_of_capacity(table, event_id),
        "UpdateExpression": f"SET {PLACE_PREFIX}{name} = :place",
        "ConditionExpression": "attribute_exists(capacityRemaining)",
        "ExpressionAttributeValues": {":place": encode(place)},
    }


def leave_line_update(table: str, event_id: str, name: str) -> dict[str, Any]:
    """The parameters of an UpdateItem that gives up a place in line."""
    return {
        **_update_of_capacity(table, event_id),
        "UpdateExpression": f"REMOVE {PLACE_PREFIX}{name}",
        "ConditionExpression": f"attribute_exists({PLACE_PREFIX}{name})",
    }


def pass_turn_update(table: str, event_id: str, at_ms: int, mark: Mark) -> dict[str, Any]:
    """The parameters of an UpdateItem that passes the turn on, if the writer has it still."""
    sets, removes, values = mark.update()
    return {
        **_update_of_capacity(table, event_id),
        "UpdateExpression": f"SET updatedAt = :at{sets}{removes}",
        "ConditionExpression": "seller = :name",
        "ExpressionAttributeValues": {
            ":at": encode(at_ms),
            ":name": encode(mark.name),
            **values,
        },
    }


def _update_of_capacity(table: str, event_id: str) -> dict[str, Any]:
    return {
        "TableName": table,
        "Key": event_key(event_id, keys.CAPACITY_SORT_KEY),
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def update_statement(table: str, change: Change) -> dict[str, Any]:
    """One request's step as a PartiQL UPDATE, on condition of the status read."""
    assignments = change.assignments()
    return {
        "Statement": _update_text(table, tuple(assignments)),
        "Parameters": [
            *assignments.values(),
            {"S": keys.request_pk(change.before.request_id)},
            _REQUEST_SORT_KEY,
            {"S": change.before.status.value},
        ],
    }


def mark_statement(table: str, received: RequestItem, queued_at_ms: int) -> dict[str, Any]:
    """A request's step from RECEIVED to QUEUED as a PartiQL UPDATE, on condition of the former."""
    return {
        "Statement": _update_text(table, _MARKED),
        "Parameters": [
            {"S": "QUEUED"},
            {"N": str(queued_at_ms)},
            {"S": keys.user_index_pk(received.user_id)},
            {"S": keys.user_index_sk(queued_at_ms, received.request_id)},
            {"S": keys.request_pk(received.request_id)},
            _REQUEST_SORT_KEY,
            {"S": "RECEIVED"},
        ],
    }


def insert_statement(table: str, request: RequestItem) -> dict[str, Any]:
    """A new request as a PartiQL INSERT, which fails where its key exists."""
    item = request.to_item()
    return {"Statement": _insert_text(table, tuple(item)), "Parameters": list(item.values())}


def _key(partition: str, sort: AttributeValue) -> dict[str, AttributeValue]:
    return {names.PARTITION_KEY: {"S": partition}, names.SORT_KEY: sort}


@cache
def _update_expression(
    attributes: tuple[str, ...],
) -> tuple[str, Mapping[str, str], Sequence[str]]:
    """The text, the names that its placeholders stand for, and the values' placeholders."""
    # Every name goes through a placeholder: `status` and `ttl` are reserved words.
    names_of = {("#status" if a == "status" else f"#{i}"): a for i, a in enumerate(attributes)}
    values = [f":{i}" for i in range(len(attributes))]
    sets = ", ".join(f"{name} = {v}" for name, v in zip(names_of, values, strict=True))
    return f"SET {sets}", names_of | {"#status": "status"}, values


@cache
def _update_text(table: str, attributes: tuple[str, ...]) -> str:
    sets = " ".join(f'SET "{attribute}"=?' for attribute in attributes)
    return f'UPDATE "{table}" {sets} WHERE {_KEY_CONDITION} AND "status"=?'


@cache
def _insert_text(table: str, attributes: tuple[str, ...]) -> str:
    fields = ", ".join(f"'{attribute}':?" for attribute in attributes)
    return f'INSERT INTO "{table}" VALUE {{{fields}}}'
