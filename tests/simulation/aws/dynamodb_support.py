"""A cloud on a clock that only tests move, and the calls that the pipeline makes of it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from aws import statements
from config.quotas import Limits
from schema.items import Capacity, Change, RequestItem
from schema.states import Status
from simulation.aws.account import Account
from simulation.aws.cloud import TABLE_NAME, Cloud
from simulation.aws.observer import Observer
from tests.simulation.aws.hand_clock import HandClock

BOUNDLESS = Limits(table_write_units=1e9)
"""Metered, and nothing is ever in the way."""
RECEIVED = RequestItem(
    request_id="r1",
    event_id="e1",
    user_id="u1",
    event_type="FIRST_COME",
    status=Status.RECEIVED,
    requested_at_ms=1_704_289_999_990,
    ttl_s=1_712_066_000,
)
CAPACITY_KEY = statements.event_key("e1", "CAPACITY")
QUEUED_AT_MS = 1_704_290_000_000
DECIDED = {
    "result_code": "SUCCESS",
    "started_at_ms": 1_704_290_000_100,
    "finished_at_ms": 1_704_290_000_250,
    "attempt": 1,
    "is_dlq": False,
    "worker_id": "w1",
}


class Watch(Observer):
    def __init__(self) -> None:
        self.writes: list[tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]] = []
        self.throttles: list[tuple[str, str]] = []
        self.in_the_way: list[tuple[str, str]] = []

    def wrote(self, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        self.writes.append((before, after))

    def was_in_the_way(self, key: tuple[str, str]) -> None:
        self.in_the_way.append(key)

    def throttled(self, limit: str, resource: str) -> None:
        self.throttles.append((limit, resource))


class Refused(Exception):
    def __init__(self, document: Mapping[str, Any]) -> None:
        self.code = document["__type"].rpartition("#")[2]
        self.document = document
        super().__init__(self.code)


class Aws:
    """A cloud without a wire: answers are documents, errors are raised."""

    def __init__(self, limits: Limits = BOUNDLESS, transaction_s: float | None = None) -> None:
        self.clock = HandClock()
        self.watch = Watch()
        self.account = Account(self.clock, limits, self.watch)
        if transaction_s is not None:
            self.account.transaction_s = lambda: transaction_s
        self.cloud = Cloud(self.account)
        self.table = self.cloud.table

    def begin(self, operation: str, **parameters: Any) -> list[tuple[int, dict[str, Any]]]:
        """Make a call; its status and document come into the list, now or later."""
        answers: list[tuple[int, dict[str, Any]]] = []
        self.cloud.handle(
            f"DynamoDB_20120810.{operation}",
            orjson.dumps(parameters),
            lambda status, document: answers.append((status, orjson.loads(document))),
        )
        return answers

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        ((status, document),) = self.begin(operation, **parameters)
        if status != 200:
            raise Refused(document)
        return document

    def put(self, **item: str) -> None:
        self.call("PutItem", TableName=TABLE_NAME, Item={k: {"S": v} for k, v in item.items()})

    def is_put(self, **item: str) -> bool:
        """Put an item; False where that is throttled."""
        try:
            self.put(**item)
        except Refused as error:
            if error.code == "ThrottlingException":
                return False
            raise
        return True

    def get(self, key: Mapping[str, Any], *, consistent: bool = True) -> dict[str, Any]:
        answer = self.call("GetItem", TableName=TABLE_NAME, Key=key, ConsistentRead=consistent)
        item: dict[str, Any] = answer.get("Item", {})
        return item

    def batch(self, *batch: dict[str, Any]) -> list[str | None]:
        """The error code of each PartiQL statement, None where it succeeded."""
        answers = self.call("BatchExecuteStatement", Statements=batch)["Responses"]
        return [answer.get("Error", {}).get("Code") for answer in answers]

    def units(self, action: Callable[[], object]) -> list[tuple[float, float]]:
        """The write and read units that an action takes: of the table, of GSI1, of GSI2."""
        before = self.table.usage.values()
        action()
        return [
            (new.write_units - old.write_units, new.read_units - old.read_units)
            for old, new in zip(before, self.table.usage.values(), strict=True)
        ]

    def seed_capacity(self, seats: int) -> None:
        self.table.seed(Capacity(event_id="e1", total=seats, remaining=seats).to_item())

    def seats_left(self) -> int:
        return int(self.get(CAPACITY_KEY)["capacityRemaining"]["N"])


def request(number: int) -> RequestItem:
    return replace(RECEIVED, request_id=f"r{number}", user_id=f"u{number}")


def queued(item: RequestItem) -> RequestItem:
    return replace(item, status=Status.QUEUED, queued_at_ms=QUEUED_AT_MS)


def decided(item: RequestItem, status: Status = Status.SUCCEEDED) -> Change:
    return Change(item, replace(item, status=status, **DECIDED))  # type: ignore[arg-type]


def insert(item: RequestItem) -> dict[str, Any]:
    return statements.insert_statement(TABLE_NAME, item)


def update(change: Change) -> dict[str, Any]:
    return statements.update_statement(TABLE_NAME, change)


def mark(item: RequestItem) -> dict[str, Any]:
    """The step to QUEUED."""
    return statements.mark_statement(TABLE_NAME, item, QUEUED_AT_MS)


def seats(*winners: RequestItem, at_ms: int = 7) -> list[dict[str, Any]]:
    """The actions of the transaction that takes these requests' seats."""
    return [
        statements.take_seats_action(TABLE_NAME, "e1", len(winners), at_ms),
        *(statements.update_action(TABLE_NAME, decided(winner)) for winner in winners),
    ]


def reasons(document: Mapping[str, Any]) -> list[str]:
    return [reason["Code"] for reason in document["CancellationReasons"]]
