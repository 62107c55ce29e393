"""The table adapter: batch reads, the seat transaction, conditional writes and the queries."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import anyio

from aws import errors, statements, winners
from aws.client import CallObserver, Client, Unobserved
from aws.errors import AwsError, Rejected, Throttle, Transient
from aws.statements import Mark
from config.limits import DYNAMODB_BATCH_GET_KEYS
from runtime import backoff
from schema import attributes, keys, names
from schema.attributes import AttributeValue, Item, ItemError, encode
from schema.items import Capacity, Change, EventConfig, RequestItem

_SERVICE: Final = "dynamodb"
_REQUEST_PREFIX: Final = keys.request_pk("")
_PASSING_REASONS: Final = frozenset(
    {
        "None",
        "ConditionalCheckFailed",
        "ProvisionedThroughputExceeded",
        "ThrottlingError",
        "TransactionConflict",
    }
)
_READ_TRIES: Final = 5
_READ_BACKOFF_S: Final = 0.1
"""Waits of up to 0.1, 0.2, 0.4 and 0.8 s: a partition has new units every second."""
_CONDITION_FAILED: Final = frozenset({"ConditionalCheckFailed", "ConditionalCheckFailedException"})


@dataclass(frozen=True, slots=True)
class EventState:
    """What the table knows of an event; both None for one that does not exist."""

    config: EventConfig | None = None
    capacity: Capacity | None = None
    defect: str | None = None
    """What is wrong with a stored item that breaks the contract: an operator must fix it."""

    @property
    def seats_left(self) -> int | None:
        """How many seats are free; None where no capacity is stored."""
        return None if self.capacity is None else self.capacity.remaining

    @property
    def exists(self) -> bool:
        """Whether either of the event's items is there."""
        return self.config is not None or self.capacity is not None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one strongly consistent read found."""

    requests: Mapping[str, RequestItem] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Requests whose stored item breaks the contract, with what is wrong."""
    events: Mapping[str, EventState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a user's requests, newest first, and where the next one starts."""

    requests: Sequence[RequestItem]
    last: RequestItem | None
    """The request after which the next page starts; None on the last page."""


class SeatsCancelled(Rejected):
    """The seat transaction was cancelled as a whole: nothing of it took effect."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """What happened to each action: the capacity's first, then the requests' in order."""
        return tuple(
            str(reason.get("Code", "None"))
            for reason in self.response.get("CancellationReasons", ())
        )

    @property
    def seats_left(self) -> int | None:
        """How many seats there were, where they were too few."""
        for reason in self.response.get("CancellationReasons", ()):
            if "Item" in reason:
                return attributes.integer(reason["Item"], "capacityRemaining")
            break
        return None

    @property
    def is_passing(self) -> bool:
        """Whether reading and planning again can help: no item was refused as such."""
        return set(self.reasons) <= _PASSING_REASONS


def is_condition_failed(error: Exception) -> bool:
    """Whether a write found a status other than the one that was read."""
    return isinstance(error, AwsError) and error.code in _CONDITION_FAILED


def is_duplicate(error: Exception) -> bool:
    """Whether an insert found its key taken."""
    return isinstance(error, AwsError) and error.code in {"DuplicateItem", "DuplicateItemException"}


class Table:
    """The one table (domain §3).

    `random` spreads repeated reads; `observer` learns of throttles that successful calls report.
    """

    def __init__(
        self, client: Client, name: str, random: Random, observer: CallObserver | None = None
    ) -> None:
        self._client = client
        self._random = random
        self._observer = observer or Unobserved()
        self.name = name

    async def load(self, request_ids: Iterable[str], event_ids: Iterable[str] = ()) -> Loaded:
        """Read requests, and events with their capacity, strongly consistently.

        Each call takes 100 keys. What DynamoDB leaves unprocessed is requested again up to four
        times, with back-off and full jitter (AWS: BatchGetItem); if some is then still left, or any
        call fails, this raises Transient and drops what was read: reading it again is harmless.
        """
        wanted = [statements.request_key(request_id) for request_id in dict.fromkeys(request_ids)]
        events = list(dict.fromkeys(event_ids))
        for event_id in events:
            wanted.append(statements.event_key(event_id, keys.CONFIG_SORT_KEY))
            wanted.append(statements.event_key(event_id, keys.CAPACITY_SORT_KEY))
        items: list[Item] = []
        for start in range(0, len(wanted), DYNAMODB_BATCH_GET_KEYS):
            items += await self._batch_get(wanted[start : start + DYNAMODB_BATCH_GET_KEYS])
        return _loaded(items, events)

    async def capacity(self, event_id: str) -> Capacity | None:
        """Read an event's seats, strongly consistently; raises ItemError where they break §3."""
        key = statements.event_key(event_id, keys.CAPACITY_SORT_KEY)
        for item in await self._batch_get([key]):
            return Capacity.from_item(event_id, item)
        return None

    async def take_turn(
        self, event_id: str, seller: str, at_ms: int, idle: Capacity | None = None
    ) -> Capacity | None:
        """Take the turn to sell an event's seats, if nobody has it, or if `idle` does still.

        Returns the capacity as it is now: the turn is taken if its `seller` is the one given.
        """
        update = statements.take_turn_update(self.name, event_id, seller, at_ms, idle)
        return await self._update_capacity(event_id, update)

    async def line_up(self, event_id: str, name: str, place: str) -> Capacity | None:
        """Take a place in line for the turn; returns the capacity as it is now."""
        update = statements.line_up_update(self.name, event_id, name, place)
        return await self._update_capacity(event_id, update)

    async def leave_line(self, event_id: str, name: str) -> None:
        """Give up a place in line, if there is one."""
        await self._update_capacity(
            event_id, statements.leave_line_update(self.name, event_id, name)
        )

    async def pass_turn(self, event_id: str, at_ms: int, mark: Mark) -> None:
        """Let others sell; changes nothing where the turn has been lost."""
        update = statements.pass_turn_update(self.name, event_id, at_ms, mark)
        await self._update_capacity(event_id, update)

    async def take_seats(
        self,
        event_id: str,
        changes: Sequence[Change],
        at_ms: int,
        token: str,
        mark: Mark | None = None,
    ) -> None:
        """Commit up to 99 winners of one event and their seats, all or none.

        `mark` keeps the turn or passes it on.
        `token` makes a repetition within ten minutes harmless; other changes need another token.
        Raises SeatsCancelled where nothing was committed, Transient where that is unknown.
        """
        try:
            await self._client.call(
                "TransactWriteItems",
                TransactItems=[
                    statements.take_seats_action(self.name, event_id, len(changes), at_ms, mark),
                    *(statements.update_action(self.name, change) for change in changes),
                ],
                ClientRequestToken=token,
            )
        except Rejected as error:
            if error.code != "TransactionCanceledException":
                raise
            cancelled = SeatsCancelled(
                error.service, error.operation, error.code, error.message, error.response
            )
            # Trying again can't help where DynamoDB refuses an item as such.
            raise (cancelled if cancelled.is_passing else error) from error

    async def write(self, changes: Sequence[Change]) -> Sequence[AwsError | None]:
        """Write up to 25 requests' steps in one call: None, or the error, of each."""
        return await self._execute(
            len(changes), (statements.update_statement(self.name, change) for change in changes)
        )

    async def mark_queued(
        self, received: Sequence[tuple[RequestItem, int]]
    ) -> Sequence[AwsError | None]:
        """Write up to 25 requests' step from RECEIVED to QUEUED: None, or the error, of each.

        With each comes its queuedAt.
        """
        return await self._execute(
            len(received), (statements.mark_statement(self.name, *request) for request in received)
        )

    async def insert(self, requests: Sequence[RequestItem]) -> Sequence[AwsError | None]:
        """Insert up to 25 new requests in one call: None, or the error, of each.

        `is_duplicate` recognises the error for a request that exists.
        """
        return await self._execute(
            len(requests), (statements.insert_statement(self.name, request) for request in requests)
        )

    async def stamp_dlq(self, request_id: str, at_ms: int) -> None:
        """Note on an undecided request that its message is about to enter the DLQ (domain §6)."""
        try:
            await self._client.call(
                "UpdateItem",
                TableName=self.name,
                Key=statements.request_key(request_id),
                UpdateExpression="SET dlqAt = :at",
                ConditionExpression=(
                    "attribute_exists(#status) AND NOT #status IN (:succeeded, :rejected, :failed)"
                ),
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={
                    ":at": encode(at_ms),
                    ":succeeded": encode("SUCCEEDED"),
                    ":rejected": encode("REJECTED"),
                    ":failed": encode("FAILED_FINAL"),
                },
            )
        except Rejected as error:
            if not is_condition_failed(error):
                raise

    async def create_event(self, config: EventConfig, capacity: Capacity) -> bool:
        """Create and list an event with its seats; False, and nothing changed, where it exists."""
        condition = f"attribute_not_exists({names.PARTITION_KEY})"
        puts: list[dict[str, Any]] = [
            {"Put": {"TableName": self.name, "Item": item, "ConditionExpression": condition}}
            for item in (config.to_item(), capacity.to_item())
        ]
        puts.append(statements.listed_event_action(self.name, config.event_id))
        try:
            await self._client.call("TransactWriteItems", TransactItems=puts)
        except Rejected as error:
            if error.code == "TransactionCanceledException":
                return False
            raise
        return True

    async def user_requests(
        self, user_id: str, limit: int, after: tuple[int, str] | None = None
    ) -> Page:
        """One page of a user's requests, newest first, by one Query of GSI1 (g1 §7.2).

        `after` is the queuedAt and the request id of the last request already seen.
        """
        parameters: dict[str, Any] = {}
        if after is not None:
            queued_at_ms, request_id = after
            parameters["ExclusiveStartKey"] = {
                **statements.request_key(request_id),
                names.USER_INDEX_PARTITION_KEY: encode(keys.user_index_pk(user_id)),
                names.USER_INDEX_SORT_KEY: encode(keys.user_index_sk(queued_at_ms, request_id)),
            }
        response = await self._client.call(
            "Query",
            TableName=self.name,
            IndexName=names.USER_INDEX,
            KeyConditionExpression=f"{names.USER_INDEX_PARTITION_KEY} = :user",
            ExpressionAttributeValues={":user": encode(keys.user_index_pk(user_id))},
            ScanIndexForward=False,
            Limit=limit,
            **parameters,
        )
        requests = [RequestItem.from_item(item) for item in response.get("Items", ())]
        more = bool(response.get("LastEvaluatedKey")) and bool(requests)
        return Page(requests, requests[-1] if more else None)

    def winners(self, event_id: str) -> AsyncIterator[RequestItem]:
        """All who won in an event, in the order of their decisions, by Queries of GSI2."""
        return winners.of_event(self._client, self.name, event_id)

    async def check(self) -> None:
        """Raise Fatal where the table, its key or one of its indexes is missing."""
        response = await self._client.call("DescribeTable", TableName=self.name)
        table = response["Table"]
        indexes = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", ())}
        missing = {names.USER_INDEX, names.WINNERS_INDEX} - indexes
        if missing:
            raise errors.Fatal(
                _SERVICE,
                "DescribeTable",
                "IndexMissing",
                f"table {self.name} has no index {', '.join(sorted(missing))}",
            )

    async def _update_capacity(self, event_id: str, update: dict[str, Any]) -> Capacity | None:
        """Make a conditional update; returns the item as it is now, whether or not it changed."""
        try:
            response = await self._client.call("UpdateItem", **update)
        except Rejected as error:
            if not is_condition_failed(error):
                raise
            item = error.response.get("Item")
        else:
            item = response.get("Attributes")
        return Capacity.from_item(event_id, item) if item else None

    async def _batch_get(self, wanted: list[dict[str, AttributeValue]]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        left: Mapping[str, Any] = {self.name: {"Keys": wanted, "ConsistentRead": True}}
        for failures in range(_READ_TRIES):
            if failures:
                wait_s = backoff.full_delay_s(failures, _READ_BACKOFF_S, 1.0, self._random)
                await anyio.sleep(wait_s)
            try:
                response = await self._client.call("BatchGetItem", RequestItems=left)
            except Transient as error:
                # So DynamoDB answers where it can read none of the keys that are still missing.
                if failures and error.is_throttle:
                    continue
                raise
            if "Responses" not in response:
                # Taken for an empty answer, it would make every request look unknown.
                raise errors.unanswered(_SERVICE, "BatchGetItem", "all items")
            items += response["Responses"].get(self.name, ())
            left = response.get("UnprocessedKeys") or {}
            if not left:
                return items
            throttle = Throttle("UnprocessedKeys", f"table/{self.name}")
            self._observer.throttled(_SERVICE, "BatchGetItem", throttle)
        raise Transient(
            _SERVICE,
            "BatchGetItem",
            "ThrottlingException",
            f"after {_READ_TRIES} tries keys of table {self.name} were still unprocessed",
        )

    async def _execute(
        self, count: int, batch: Iterable[dict[str, Any]]
    ) -> Sequence[AwsError | None]:
        response = await self._client.call("BatchExecuteStatement", Statements=list(batch))
        answers: list[dict[str, Any]] = response.get("Responses", [])
        if len(answers) == count and not any("Error" in answer for answer in answers):
            return [None] * count
        results = [
            _result(answers[index])
            if index < len(answers)
            else errors.unanswered(_SERVICE, "BatchExecuteStatement")
            for index in range(count)
        ]
        for error in results:
            if isinstance(error, Transient):
                for throttle in error.throttles:
                    self._observer.throttled(_SERVICE, "BatchExecuteStatement", throttle)
        return results


def _result(answer: Mapping[str, Any]) -> AwsError | None:
    error = answer.get("Error")
    if not error:
        return None
    code = str(error.get("Code", "Unknown"))
    kind = errors.kind_of(code, 400)
    return kind(_SERVICE, "BatchExecuteStatement", code, str(error.get("Message", "")), answer)


def _loaded(items: Iterable[Item], event_ids: Sequence[str]) -> Loaded:
    requests: dict[str, RequestItem] = {}
    unreadable: dict[str, str] = {}
    of_events: dict[tuple[str, str], Item] = {}
    for item in items:
        partition, sort = item[names.PARTITION_KEY]["S"], item[names.SORT_KEY]["S"]
        if sort != keys.REQUEST_SORT_KEY:
            of_events[str(partition), str(sort)] = item
            continue
        request_id = str(partition).removeprefix(_REQUEST_PREFIX)
        try:
            requests[request_id] = RequestItem.from_item(item)
        except ItemError as error:
            unreadable[request_id] = str(error)
    return Loaded(requests, unreadable, {id_: _event(of_events, id_) for id_ in event_ids})


def _event(items: Mapping[tuple[str, str], Item], event_id: str) -> EventState:
    pk = keys.event_pk(event_id)
    config = items.get((pk, keys.CONFIG_SORT_KEY))
    capacity = items.get((pk, keys.CAPACITY_SORT_KEY))
    try:
        return EventState(
            config=None if config is None else EventConfig.from_item(event_id, config),
            capacity=None if capacity is None else Capacity.from_item(event_id, capacity),
        )
    except ItemError as error:
        return EventState(defect=str(error))
