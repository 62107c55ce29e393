"""One DynamoDB table in memory: the operations that the programs under measurement call."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import orjson

from simulation.aws import errors
from simulation.aws.account import Account, Payload, Reply
from simulation.aws.dynamodb import expressions
from simulation.aws.dynamodb.evaluate import Attribute, Item, Values
from simulation.aws.dynamodb.parsed import Insert
from simulation.aws.dynamodb.storage import INDEXES, Key, Record, Store, StoredItem, key_of

Write: TypeAlias = Callable[[], None]
"""A write that was found to be allowed, to be done once all others are, too."""

_NO_ITEM: Final[Item] = {}
_NO_VALUES: Final[Mapping[str, Attribute]] = {}
_MAX_GET_KEYS: Final = 100
_MAX_TRANSACT_ITEMS: Final = 100
_MAX_STATEMENTS: Final = 25


class Table:
    """The operations on one table's items."""

    def __init__(self, name: str, account: Account) -> None:
        self.name = name
        self._account = account
        self.store = Store()
        self._tokens: set[str] = set()

    def seed(self, item: StoredItem) -> None:
        """Store an item, and make its JSON now: seeding is not measured, reading is."""
        key = key_of(item)
        self.store.put(key, item)
        self.store.records[key].read()

    def get_item(self, payload: Payload) -> dict[str, Any]:
        """GetItem."""
        self._check_table(payload)
        record = self.store.records.get(key_of(payload["Key"]))
        if record is None:
            return {}
        if "ProjectionExpression" in payload:
            return {"Item": _project(record.item, payload)}
        return {"Item": record.document or record.read()}

    def batch_get_item(self, payload: Payload) -> dict[str, Any]:
        """BatchGetItem, never leaving a key unprocessed."""
        answer: dict[str, Sequence[Item | orjson.Fragment]] = {}
        for table, request in payload["RequestItems"].items():
            self._check_table({"TableName": table})
            keys = [(key["PK"]["S"], key["SK"]["S"]) for key in request["Keys"]]
            if len(keys) > _MAX_GET_KEYS:
                raise errors.validation("Too many items requested for the BatchGetItem call")
            if len(set(keys)) != len(keys):
                raise errors.validation("Provided list of item keys contains duplicates")
            records = [r for key in keys if (r := self.store.records.get(key)) is not None]
            if "ProjectionExpression" in request:
                answer[table] = [_project(record.item, request) for record in records]
            else:
                answer[table] = [record.document or record.read() for record in records]
        return {"Responses": answer, "UnprocessedKeys": {}}

    def put_item(self, payload: Payload) -> dict[str, Any]:
        """PutItem."""
        self._write({"Put": payload})
        return {}

    def update_item(self, payload: Payload) -> dict[str, Any]:
        """UpdateItem."""
        wanted = payload.get("ReturnValues", "NONE")
        if wanted == "NONE":
            self._write({"Update": payload})
            return {}
        key = key_of(payload["Key"])
        record = self.store.records.get(key)
        # A copy, since the write changes the item itself.
        before = {} if record is None else dict(record.item)
        self._write({"Update": payload})
        after = self.store.records[key].item
        item: Item = before if wanted.endswith("OLD") else after
        if wanted.startswith("UPDATED"):
            changed = {name for name in after if after[name] != before.get(name)}
            item = {name: item[name] for name in changed if name in item}
        return {"Attributes": item} if item else {}

    def delete_item(self, payload: Payload) -> dict[str, Any]:
        """DeleteItem."""
        self._write({"Delete": payload})
        return {}

    def transact_write_items(self, payload: Payload, reply: Reply) -> None:
        """TransactWriteItems: all of it, or a reason per item."""
        reply(self._transact(payload))

    def _transact(self, payload: Payload) -> dict[str, Any]:
        actions = payload["TransactItems"]
        if len(actions) > _MAX_TRANSACT_ITEMS:
            raise errors.validation("Member must have length less than or equal to 100")
        token = payload.get("ClientRequestToken")
        if token is not None and token in self._tokens:
            return {}
        keys: set[Key] = set()
        reasons, writes = [], []
        for action in actions:
            key, reason, write = self._prepare(action)
            keys.add(key)
            reasons.append(reason)
            writes.append(write)
        if len(keys) != len(actions):
            raise errors.validation("Transaction request cannot include multiple operations on one")
        if any(reasons):
            raise errors.transaction_cancelled([reason or {"Code": "None"} for reason in reasons])
        for write in writes:
            write()
        if token is not None:
            self._tokens.add(token)
        return {}

    def batch_execute_statement(self, payload: Payload) -> dict[str, Any]:
        """BatchExecuteStatement of PartiQL INSERTs and UPDATEs, each with a result of its own."""
        statements = payload["Statements"]
        if len(statements) > _MAX_STATEMENTS:
            raise errors.validation("Member must have length less than or equal to 25")
        return {"Responses": [self._execute(statement) for statement in statements]}

    def query(self, payload: Payload) -> dict[str, Any]:
        """Query of an index, in either direction, with limit, filter and start key."""
        self._check_table(payload)
        names = payload.get("ExpressionAttributeNames")
        values = payload.get("ExpressionAttributeValues", _NO_VALUES)
        condition = expressions.condition(payload["KeyConditionExpression"], names)
        index = payload.get("IndexName", "")
        if index not in INDEXES:
            raise errors.validation(f"The table does not have the specified index: {index}")
        partition, sort = INDEXES[index]
        if partition not in condition.equals:
            raise errors.validation(f"Query condition missed key schema element: {partition}")
        value = condition.equals[partition]({}, values)
        keys = self.store.keys_in_index(index, value["S"] if value else "")
        records = self.store.records
        items = [i for key in keys if condition.test(i := records[key].item, values)]
        items.sort(
            key=lambda item: (item[sort]["S"], *key_of(item)),
            reverse=not payload.get("ScanIndexForward", True),
        )
        return self._page(items, payload, (partition, sort), names, values)

    def describe_table(self, payload: Payload) -> dict[str, Any]:
        """DescribeTable, as far as start-up checks read it."""
        self._check_table(payload)
        return {
            "Table": {
                "TableName": self.name,
                "TableStatus": "ACTIVE",
                "KeySchema": _schema("PK", "SK"),
                "ItemCount": len(self.store.records),
                "GlobalSecondaryIndexes": [
                    {
                        "IndexName": index,
                        "IndexStatus": "ACTIVE",
                        "KeySchema": _schema(*names),
                        "Projection": {"ProjectionType": "ALL"},
                    }
                    for index, names in INDEXES.items()
                ],
            }
        }

    def _page(
        self,
        items: Sequence[Item],
        payload: Payload,
        index: tuple[str, str],
        names: expressions.Names,
        values: Values,
    ) -> dict[str, Any]:
        start = payload.get("ExclusiveStartKey")
        if start is not None:
            keys = [key_of(item) for item in items]
            at = keys.index(key_of(start)) + 1 if key_of(start) in keys else 0
            items = items[at:]
        limit = payload.get("Limit", len(items))
        page = items[:limit]
        more = len(items) > len(page)
        last = {n: page[-1][n] for n in ("PK", "SK", *index)} if more and page else None
        if "FilterExpression" in payload:
            wanted = expressions.condition(payload["FilterExpression"], names)
            page = [item for item in page if wanted.test(item, values)]
        answer: dict[str, Any] = {
            "Items": [_project(item, payload) for item in page],
            "Count": len(page),
            "ScannedCount": len(page),
        }
        return answer | {"LastEvaluatedKey": last} if last else answer

    def _write(self, action: Payload) -> None:
        _, reason, write = self._prepare(action)
        if reason is not None:
            raise errors.condition_failed(reason.get("Item"))
        write()

    def _prepare(self, action: Payload) -> tuple[Key, dict[str, Any] | None, Write]:
        """Check one write's condition and work out what it does, without doing it."""
        ((verb, request),) = action.items()
        if request["TableName"] != self.name:
            raise errors.no_table(request["TableName"])
        target = request["Item" if verb == "Put" else "Key"]
        key = target["PK"]["S"], target["SK"]["S"]
        record = self.store.records.get(key)
        before = _NO_ITEM if record is None else record.item
        names = request.get("ExpressionAttributeNames")
        values = request.get("ExpressionAttributeValues", _NO_VALUES)
        text = request.get("ConditionExpression")
        if verb == "Update":
            condition, changes = expressions.step(request["UpdateExpression"], text, names)
            if condition is not None and not condition.test(before, values):
                return key, _failed(request, record), _do_nothing
            new = changes.right_sides(before or target, values)
            return key, None, partial(self.store.change, key, record, changes, new)
        if text is not None and not expressions.condition(text, names).test(before, values):
            return key, _failed(request, record), _do_nothing
        if verb == "Put":
            return key, None, partial(self.store.put, key, target)
        if verb == "Delete":
            return key, None, partial(self.store.delete, key)
        return key, None, _do_nothing

    def _execute(self, request: Payload) -> dict[str, Any]:
        parsed = expressions.statement(request["Statement"])
        values = request.get("Parameters", ())
        if parsed.table != self.name:
            return _statement_error("ResourceNotFound", "Requested resource not found")
        if len(values) != parsed.positions:
            raise errors.validation("Number of parameters in request and statement don't match.")
        if isinstance(parsed, Insert):
            return self._insert(parsed, values)
        key = parsed.key(values)
        record = self.store.records.get(key)
        if record is None or not parsed.test(record.item, values):
            failed = _failed(request, record)
            error = _statement_error("ConditionalCheckFailed", failed["Message"])
            return error | {"Item": failed["Item"]} if "Item" in failed else error
        new = parsed.changes.right_sides(record.item, values)
        self.store.change(key, record, parsed.changes, new)
        return {"TableName": self.name}

    def _insert(self, parsed: Insert, values: Values) -> dict[str, Any]:
        item = parsed.item(values)
        key = key_of(item)
        if key in self.store.records:
            return _statement_error("DuplicateItem", "Duplicate primary key exists in table")
        self.store.put(key, item)
        return {"TableName": self.name}

    def _check_table(self, payload: Payload) -> None:
        if payload["TableName"] != self.name:
            raise errors.no_table(payload["TableName"])


def _failed(request: Payload, record: Record | None) -> dict[str, Any]:
    reason: dict[str, Any] = {
        "Code": "ConditionalCheckFailed",
        "Message": "The conditional request failed",
    }
    if record is not None and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
        # As JSON, since a later statement of the same request may change the item itself.
        reason["Item"] = record.document or record.read()
    return reason


def _do_nothing() -> None:
    pass


def _statement_error(code: str, message: str) -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": message}}


def _schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def _project(item: Item, request: Payload) -> Item:
    text = request.get("ProjectionExpression")
    if text is None:
        return item
    names = request.get("ExpressionAttributeNames", {})
    wanted = (name.strip() for name in text.split(","))
    return {n: item[n] for name in wanted if (n := names.get(name, name)) in item}
