"""The table's items as values, and the change from one state of a request to the next."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, Self

from schema import attributes, keys, names
from schema.attributes import AttributeValue, Item, ItemError, encode
from schema.states import FINAL_STATUSES, Status, may_become
from schema.values import value

MAX_ERROR_MESSAGE_CHARS: Final = 256
MAX_SEATS: Final = 10_000_000
"""Of one event: seats cannot be taken away, so that a mistyped figure would stay (domain §9)."""
UNKNOWN_WORKER: Final = "unknown"
PLACE_PREFIX: Final = "line_"
"""Begins the name of an attribute that is a worker's place in line; the worker's name follows."""


@value(frozen=True, slots=True, kw_only=True)
class RequestItem:
    """One user's participation in one event, as the table holds it (domain §3)."""

    request_id: str
    event_id: str
    user_id: str
    event_type: str
    status: Status
    requested_at_ms: int | None = None
    queued_at_ms: int | None = None
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    result_code: str | None = None
    attempt: int | None = None
    is_dlq: bool | None = None
    failure_class: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    dlq_at_ms: int | None = None
    worker_id: str | None = None
    """Who decided; stored so that a redelivery publishes the same bytes as the first delivery."""
    ttl_s: int | None = None
    """When the item may expire, in epoch *seconds*: DynamoDB's TTL knows no other unit."""

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """Read a stored item; raises ItemError where it breaks the contract."""
        values: dict[str, Any] = {}
        # Reading the attributes that exist takes half the time of looking for all possible ones.
        for name, attribute in item.items():
            known = _READERS.get(name)
            if known is not None:
                field, read = known
                values[field] = read(attribute, name)
        if None in map(values.get, _REQUIRED):
            missing = next(field for field in _REQUIRED if values.get(field) is None)
            raise ItemError(f"attribute {_ATTRIBUTES[missing]!r} is missing")
        return cls(**values)

    def to_item(self) -> dict[str, AttributeValue]:
        """Write the whole item, without absent values, with the index keys that it has."""
        item: dict[str, AttributeValue] = {
            names.PARTITION_KEY: {"S": keys.request_pk(self.request_id)},
            names.SORT_KEY: {"S": keys.REQUEST_SORT_KEY},
        }
        for attribute, stored in zip(_STORED_NAMES, _values(self), strict=True):
            if stored is not None:
                is_text = isinstance(stored, str)  # as most are
                item[attribute] = {"S": stored} if is_text else encode(stored)
        for attribute, key in (self._user_keys() | self._winner_keys()).items():
            item[attribute] = {"S": key}
        return item

    def fields(self) -> dict[str, str | int | bool | None]:
        """Every attribute by its stored name, None where it is absent; no keys."""
        return dict(zip(_STORED_NAMES, _values(self), strict=True))

    # Nothing that every click writes is a key of its event: one key is one partition, which bears
    # 1,000 writes a second.

    def _user_keys(self) -> dict[str, str]:
        """GSI1, from the QUEUED transition on (domain §3)."""
        if self.queued_at_ms is None or self.status is Status.RECEIVED:
            return {}
        return {
            names.USER_INDEX_PARTITION_KEY: keys.user_index_pk(self.user_id),
            names.USER_INDEX_SORT_KEY: keys.user_index_sk(self.queued_at_ms, self.request_id),
        }

    def _winner_keys(self) -> dict[str, str]:
        """GSI2, with a decision that won (domain §3)."""
        if (
            self.status is not Status.SUCCEEDED
            or self.queued_at_ms is None
            or self.finished_at_ms is None
        ):
            return {}
        shard = keys.winner_shard(self.request_id)
        return {
            names.WINNERS_INDEX_PARTITION_KEY: keys.winners_index_pk(self.event_id, shard),
            names.WINNERS_INDEX_SORT_KEY: keys.winners_index_sk(
                self.finished_at_ms, self.request_id
            ),
        }


_ATTRIBUTES: Final = {
    "request_id": "requestId",
    "event_id": "eventId",
    "user_id": "userId",
    "event_type": "eventType",
    "status": "status",
    "requested_at_ms": "requestedAt",
    "queued_at_ms": "queuedAt",
    "started_at_ms": "startedAt",
    "finished_at_ms": "finishedAt",
    "result_code": "resultCode",
    "attempt": "attempt",
    "is_dlq": "isDlq",
    "failure_class": "failureClass",
    "error_code": "errorCode",
    "error_message": "errorMessage",
    "dlq_at_ms": "dlqAt",
    "worker_id": "workerId",
    "ttl_s": names.TTL_ATTRIBUTE,
}
_REQUIRED: Final = ("status", "request_id", "event_id", "user_id", "event_type")
_STATUSES: Final = {status.value: status for status in Status}


def _status_of(attribute: AttributeValue, name: str) -> Status | None:
    text = attributes.text_of(attribute, name)
    status = _STATUSES.get(text or "")
    if status is None and text is not None:
        raise ItemError(f"attribute {name!r} holds the unknown value {text!r}")
    return status


_NUMBERS: Final = frozenset(
    {
        "requested_at_ms",
        "queued_at_ms",
        "started_at_ms",
        "finished_at_ms",
        "attempt",
        "dlq_at_ms",
        "ttl_s",
    }
)


def _reader(field: str) -> Callable[[AttributeValue, str], Status | str | int | bool | None]:
    if field == "status":
        return _status_of
    if field == "is_dlq":
        return attributes.flag_of
    return attributes.integer_of if field in _NUMBERS else attributes.text_of


_READERS: Final = {name: (field, _reader(field)) for field, name in _ATTRIBUTES.items()}
# One lookup for all fields: this runs several times for each request.
_values: Final = attrgetter(*_ATTRIBUTES)
_STORED_NAMES: Final = tuple(_ATTRIBUTES.values())


_SELDOM: Final = ("queued_at_ms", "failure_class", "error_code", "error_message")
"""What few decisions change; an earlier attempt may have left some of it."""
_SELDOM_NAMES: Final = tuple(map(_ATTRIBUTES.__getitem__, _SELDOM))
_seldom: Final = attrgetter(*_SELDOM)


@value(frozen=True, slots=True)
class Change:
    """A request's decision, to be written on condition of the status that was read.

    Raises ValueError for a step that domain §4 forbids, or that is no decision.
    """

    before: RequestItem
    after: RequestItem

    def __post_init__(self) -> None:
        before, after = self.before.status, self.after.status
        if after not in FINAL_STATUSES or not may_become(before, after):
            raise ValueError(
                f"request {self.before.request_id} may not go from {before} to {after}"
            )

    def assignments(self) -> dict[str, AttributeValue]:
        """The attributes to set, by stored name; NULL clears what an earlier attempt left.

        A decision is read back from the item alone, so the item must hold nothing else.
        """
        before, after = self.before, self.after
        # Named one by one: to compare all that an item has takes three times as long.
        changed: dict[str, AttributeValue] = {
            "status": {"S": after.status.value},
            "startedAt": encode(after.started_at_ms),
            "finishedAt": encode(after.finished_at_ms),
            "resultCode": encode(after.result_code),
            "attempt": encode(after.attempt),
            "isDlq": encode(after.is_dlq),
            "workerId": encode(after.worker_id),
        }
        olds, news = _seldom(before), _seldom(after)
        if news != olds:
            for attribute, old, new in zip(_SELDOM_NAMES, olds, news, strict=True):
                if new != old:
                    changed[attribute] = encode(new)
        keys_of_indexes: dict[str, str] = {}
        if before.status is Status.RECEIVED or before.queued_at_ms is None:
            keys_of_indexes |= after._user_keys()  # noqa: SLF001 - of this module
        if after.status is Status.SUCCEEDED:
            keys_of_indexes |= after._winner_keys()  # noqa: SLF001
        for attribute, key in keys_of_indexes.items():
            changed[attribute] = {"S": key}
        return changed


@dataclass(frozen=True, slots=True, kw_only=True)
class EventConfig:
    """What people take part in: its type and its opening times."""

    event_id: str
    event_type: str
    opens_at_ms: int | None = None
    closes_at_ms: int | None = None

    @classmethod
    def from_item(cls, event_id: str, item: Item) -> Self:
        """Read a stored item; raises ItemError where it breaks the contract."""
        return cls(
            event_id=event_id,
            event_type=attributes.text(item, "eventType"),
            opens_at_ms=attributes.optional_integer(item, "opensAt"),
            closes_at_ms=attributes.optional_integer(item, "closesAt"),
        )

    def to_item(self) -> dict[str, AttributeValue]:
        """Write the whole item."""
        values: dict[str, str | int | None] = {
            names.PARTITION_KEY: keys.event_pk(self.event_id),
            names.SORT_KEY: keys.CONFIG_SORT_KEY,
            "eventType": self.event_type,
            "opensAt": self.opens_at_ms,
            "closesAt": self.closes_at_ms,
        }
        return {name: encode(v) for name, v in values.items() if v is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many seats an event has, and how many are left."""

    event_id: str
    total: int
    remaining: int
    updated_at_ms: int | None = None
    seller: str | None = None
    """The worker whose turn it is to sell, while one is selling (domain §6)."""
    line: Mapping[str, str] = field(default_factory=dict)
    """Workers that wait for their turn, each with what it says of its requests."""

    @classmethod
    def from_item(cls, event_id: str, item: Item) -> Self:
        """Read a stored item; raises ItemError where it breaks the contract."""
        return cls(
            event_id=event_id,
            total=attributes.integer(item, "capacityTotal"),
            remaining=attributes.integer(item, "capacityRemaining"),
            updated_at_ms=attributes.optional_integer(item, "updatedAt"),
            seller=attributes.text_of(item["seller"], "seller") if "seller" in item else None,
            line={
                name.removeprefix(PLACE_PREFIX): attributes.text(item, name)
                for name in item
                if name.startswith(PLACE_PREFIX)
            },
        )

    def to_item(self) -> dict[str, AttributeValue]:
        """Write the whole item."""
        values: dict[str, str | int | None] = {
            names.PARTITION_KEY: keys.event_pk(self.event_id),
            names.SORT_KEY: keys.CAPACITY_SORT_KEY,
            "capacityTotal": self.total,
            "capacityRemaining": self.remaining,
            "updatedAt": self.updated_at_ms,
            "seller": self.seller,
            **{f"{PLACE_PREFIX}{name}": place for name, place in self.line.items()},
        }
        return {name: encode(v) for name, v in values.items() if v is not None}
