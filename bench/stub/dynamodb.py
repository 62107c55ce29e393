"""One DynamoDB table in memory: the operations that the programs under measurement call."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from bench.stub import errors, expressions
from bench.stub.evaluate import Attribute, Item, Values

Key: TypeAlias = tuple[str, str]
Payload: TypeAlias = Mapping[str, Any]

_INDEXES: Final = {"GSI1": ("GSI1PK", "GSI1SK"), "GSI2": ("GSI2PK", "GSI2SK")}
_NO_ITEM: Final[Item] = {}
_MAX_GET_KEYS: Final = 100
_MAX_TRANSACT_ITEMS: Final = 100
_MAX_STATEMENTS: Final = 25


class Table:
    """Items by (PK, SK), each index by its partition key."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.items: dict[Key, Item] = {}
        self._indexes: dict[str, dict[str, set[Key]]] = {index: {} for index in _INDEXES}
        self._tokens: set[str] = set()

    def put(self, item: Item) -> None:
        """Store an item unconditionally."""
        key = _key(item)
        before = self.items.get(key, _NO_ITEM)
        self.items[key] = item
        for index, (partition, _) in _INDEXES.items():
            old, new = before.get(partition), item.get(partition)
            if old != new:
                if old is not None:
                    self._indexes[index][old["S"]].discard(key)
                if new is not None:
                    self._indexes[index].setdefault(new["S"], set()).add(key)

    def delete(self, key: Key) -> None:
        """Remove an item, if it is there."""
        before = self.items.pop(key, None)
        for index, (partition, _) in _INDEXES.items():
            if before is not None and partition in before:
                self._indexes[index][before[partition]["S"]].discard(key)

    def get_item(self, payload: Payload) -> dict[str, Any]:
        """GetItem."""
        self._check_table(payload)
        item = self.items.get(_key(payload["Key"]))
        return {} if item is None else {"Item": _project(item, payload)}

    def batch_get_item(self, payload: Payload) -> dict[str, Any]:
        """BatchGetItem, never leaving a key unprocessed."""
        found: dict[str, list[Item]] = {}
        for table, request in payload["RequestItems"].items():
            self._check_table({"TableName": table})
            keys = [_key(key) for key in request["Keys"]]
            if len(keys) > _MAX_GET_KEYS:
                raise errors.validation("Too many items requested for the BatchGetItem call")
            if len(set(keys)) != len(keys):
                raise errors.validation("Provided list of item keys contains duplicates")
            items = (self.items.get(key) for key in keys)
            found[table] = [_project(item, request) for item in items if item is not None]
        return {"Responses": found, "UnprocessedKeys": {}}

    def put_item(self, payload: Payload) -> dict[str, Any]:
        """PutItem."""
        self._write({"Put": payload})
        return {}

    def update_item(self, payload: Payload) -> dict[str, Any]:
        """UpdateItem."""
        before, after = self._write({"Update": payload})
        wanted = payload.get("ReturnValues", "NONE")
        if wanted == "NONE":
            return {}
        item = before if wanted.endswith("OLD") else after
        if wanted.startswith("UPDATED") and item is not None:
            changed = {n for n in (after or {}) if (after or {}).get(n) != (before or {}).get(n)}
            item = {name: item[name] for name in changed if name in item}
        return {"Attributes": item} if item else {}

    def delete_item(self, payload: Payload) -> dict[str, Any]:
        """DeleteItem."""
        self._write({"Delete": payload})
        return {}

    def transact_write_items(self, payload: Payload) -> dict[str, Any]:
        """TransactWriteItems: all of it, or a reason per item."""
        actions = payload["TransactItems"]
        if len(actions) > _MAX_TRANSACT_ITEMS:
            raise errors.validation("Member must have length less than or equal to 100")
        token = payload.get("ClientRequestToken")
        if token is not None and token in self._tokens:
            return {}
        keys = [_target(action)[2] for action in actions]
        if len(set(keys)) != len(keys):
            raise errors.validation("Transaction request cannot include multiple operations on one")
        reasons, writes = [], []
        for action in actions:
            reason, write = self._prepare(action)
            reasons.append(reason)
            writes.append(write)
        if any(reason["Code"] != "None" for reason in reasons):
            raise errors.transaction_cancelled(reasons)
        for key, item in zip(keys, writes, strict=True):
            self._store(key, item)
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
        names = expressions.names_key(payload.get("ExpressionAttributeNames"))
        values = payload.get("ExpressionAttributeValues", {})
        condition = expressions.condition(payload["KeyConditionExpression"], names)
        index = payload.get("IndexName", "")
        if index not in _INDEXES:
            raise errors.validation(f"The table does not have the specified index: {index}")
        partition, sort = _INDEXES[index]
        if partition not in condition.equals:
            raise errors.validation(f"Query condition missed key schema element: {partition}")
        value = condition.equals[partition]({}, values)
        keys = self._indexes[index].get(value["S"] if value else "", set())
        items = [i for key in keys if condition.test(i := self.items[key], values)]
        items.sort(
            key=lambda item: (item[sort]["S"], *_key(item)),
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
                "ItemCount": len(self.items),
                "GlobalSecondaryIndexes": [
                    {
                        "IndexName": index,
                        "IndexStatus": "ACTIVE",
                        "KeySchema": _schema(*names),
                        "Projection": {"ProjectionType": "ALL"},
                    }
                    for index, names in _INDEXES.items()
                ],
            }
        }

    def _page(
        self,
        items: list[Item],
        payload: Payload,
        index: tuple[str, str],
        names: expressions.Names,
        values: Values,
    ) -> dict[str, Any]:
        start = payload.get("ExclusiveStartKey")
        if start is not None:
            keys = [_key(item) for item in items]
            at = keys.index(_key(start)) + 1 if _key(start) in keys else 0
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

    def _write(self, action: Payload) -> tuple[Item | None, Item | None]:
        key = _target(action)[2]
        before = self.items.get(key)
        reason, after = self._prepare(action)
        if reason["Code"] != "None":
            raise errors.condition_failed(reason.get("Item"))
        self._store(key, after)
        return before, after

    def _store(self, key: Key, item: Item | None) -> None:
        if item is None:
            self.delete(key)
        else:
            self.put(item)

    def _prepare(self, action: Payload) -> tuple[dict[str, Any], Item | None]:
        """Check one write's condition and work out the item it leaves, without storing it."""
        verb, request, key = _target(action)
        self._check_table(request)
        before = self.items.get(key)
        names = expressions.names_key(request.get("ExpressionAttributeNames"))
        values = request.get("ExpressionAttributeValues", {})
        text = request.get("ConditionExpression")
        if text is not None:
            condition = expressions.condition(text, names)
            if not condition.test(before or _NO_ITEM, values):
                return _failed(request, before), None
        after: Item | None = None
        if verb == "Put":
            after = request["Item"]
        elif verb == "Update":
            changes = expressions.changes(request["UpdateExpression"], names)
            after = changes.apply(before or request["Key"], values)
        elif verb == "ConditionCheck":
            after = before
        return {"Code": "None"}, after

    def _execute(self, request: Payload) -> dict[str, Any]:
        parsed = expressions.statement(request["Statement"])
        values: Values = dict(enumerate(request.get("Parameters", ())))
        if parsed.table != self.name:
            return _statement_error("ResourceNotFound", "Requested resource not found")
        if isinstance(parsed, expressions.Insert):
            item = {name: _required(operand(_NO_ITEM, values)) for name, operand in parsed.fields}
            if _key(item) in self.items:
                return _statement_error("DuplicateItem", "Duplicate primary key exists in table")
            self.put(item)
            return {"TableName": self.name}
        equals = parsed.condition.equals
        if "PK" not in equals or "SK" not in equals:
            raise errors.validation("Where clause does not contain a mandatory equality on all key")
        key = (
            _required(equals["PK"](_NO_ITEM, values))["S"],
            _required(equals["SK"](_NO_ITEM, values))["S"],
        )
        before = self.items.get(key)
        if before is None or not parsed.condition.test(before, values):
            failed = _failed(request, before)
            error = _statement_error("ConditionalCheckFailed", failed["Message"])
            return error | {"Item": failed["Item"]} if "Item" in failed else error
        self.put(parsed.changes.apply(before, values))
        return {"TableName": self.name}

    def _check_table(self, payload: Payload) -> None:
        if payload["TableName"] != self.name:
            raise errors.no_table(payload["TableName"])


def _key(item: Item) -> Key:
    return item["PK"]["S"], item["SK"]["S"]


def _target(action: Payload) -> tuple[str, Payload, Key]:
    ((verb, request),) = action.items()
    return verb, request, _key(request["Item"] if verb == "Put" else request["Key"])


def _failed(request: Payload, item: Item | None) -> dict[str, Any]:
    reason: dict[str, Any] = {
        "Code": "ConditionalCheckFailed",
        "Message": "The conditional request failed",
    }
    if item is not None and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
        reason["Item"] = item
    return reason


def _statement_error(code: str, message: str) -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": message}}


def _required(value: Attribute | None) -> Attribute:
    if value is None:
        raise errors.validation("A statement's value is missing")
    return value


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
