"""Single writes: conditions, effects, sizes and what they cost."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from simulation.aws import errors
from simulation.aws.account import Payload
from simulation.aws.dynamodb import expressions
from simulation.aws.dynamodb.evaluate import Attribute, Item, Values
from simulation.aws.dynamodb.parsed import Insert
from simulation.aws.dynamodb.refusal import CONFLICT, DUPLICATE, TOO_LARGE, Refusal
from simulation.aws.dynamodb.sizes import MAX_ITEM_BYTES, item_bytes
from simulation.aws.dynamodb.storage import Key, Record, Store, StoredItem, key_of
from simulation.aws.dynamodb.throughput import Cost, Throughput

Write: TypeAlias = Callable[[], None]
"""A write that was found to be allowed, to be done once all others are, too."""

_NO_ITEM: Final[Item] = {}
_NO_VALUES: Final[Mapping[str, Attribute]] = {}


Prepared: TypeAlias = tuple[Key, Refusal | None, Write, Cost | None, int]
"""A write that was worked out, and not done: its item's key, what refuses it, how to do it, what it
costs, and the size of what it leaves; None and 0 for the last two where nothing is metered. (Plain
tuples, since naming their fields would take a tenth of a transaction's time.)"""


class Writes:
    """The writes of one table; `held` are the items of transactions that have not committed."""

    def __init__(self, name: str, store: Store, throughput: Throughput | None) -> None:
        self._name = name
        self._store = store
        self._throughput = throughput
        self.held: set[Key] = set()

    def write(self, action: Payload) -> None:
        """Do one write (`{"Put": request}`, …); raises the error that refuses it."""
        _, refusal, write, cost, _ = self.prepare(action)
        if refusal is not CONFLICT and cost is not None and self._throughput is not None:
            refusal = self._throughput.write(cost) or refusal
        if refusal is not None:
            raise refusal.error()
        write()

    def prepare(self, action: Payload) -> Prepared:
        """Check one write's condition and work out what it does, without doing it."""
        ((verb, request),) = action.items()
        if request["TableName"] != self._name:
            raise errors.no_table(request["TableName"])
        target = request["Item" if verb == "Put" else "Key"]
        key = target["PK"]["S"], target["SK"]["S"]
        record = self._store.records.get(key)
        if self.held and key in self.held:
            return self._unchanged(key, CONFLICT, record)
        if verb == "Update":
            return self._update(key, record, request)
        text = request.get("ConditionExpression")
        if text is not None:
            condition = expressions.condition(text, request.get("ExpressionAttributeNames"))
            values = request.get("ExpressionAttributeValues", _NO_VALUES)
            if not condition.test(_NO_ITEM if record is None else record.item, values):
                return self._unchanged(key, _failed(request, record), record)
        if verb == "Put":
            return self._put(key, record, target)
        if verb == "Delete":
            delete = partial(self._store.delete, key)
            throughput = self._throughput
            cost = None if throughput is None else throughput.cost(key, record, None)
            return key, None, delete, cost, 0
        return self._unchanged(key, None, record)

    def _update(self, key: Key, record: Record | None, request: Payload) -> Prepared:
        before = _NO_ITEM if record is None else record.item
        values = request.get("ExpressionAttributeValues", _NO_VALUES)
        condition, changes = expressions.step(
            request["UpdateExpression"],
            request.get("ConditionExpression"),
            request.get("ExpressionAttributeNames"),
        )
        if condition is not None and not condition.test(before, values):
            return self._unchanged(key, _failed(request, record), record)
        new = changes.right_sides(before or request["Key"], values)
        if self._throughput is None:
            change = partial(self._store.change, key, record, changes, new)
            return key, None, change, None, 0
        return self._put(key, record, changes.make(dict(before or request["Key"]), new))

    def statement(self, request: Payload) -> dict[str, Any]:
        """Execute a PartiQL INSERT or UPDATE, whose error is its own."""
        parsed = expressions.statement(request["Statement"])
        values = request.get("Parameters", ())
        if parsed.table != self._name:
            return Refusal("ResourceNotFound", "Requested resource not found").answer()
        if len(values) != parsed.positions:
            raise errors.validation("Number of parameters in request and statement don't match.")
        if isinstance(parsed, Insert):
            return self._insert(parsed, values)
        key = parsed.key(values)
        if self.held and key in self.held:
            return CONFLICT.answer()
        record = self._store.records.get(key)
        if record is None or not parsed.test(record.item, values):
            return self._do(self._unchanged(key, _failed(request, record), record))
        new = parsed.changes.right_sides(record.item, values)
        if self._throughput is None:
            self._store.change(key, record, parsed.changes, new)
            return {"TableName": self._name}
        return self._do(self._put(key, record, parsed.changes.make(dict(record.item), new)))

    def _insert(self, parsed: Insert, values: Values) -> dict[str, Any]:
        item = parsed.item(values)
        key = key_of(item)
        if self.held and key in self.held:
            return CONFLICT.answer()
        record = self._store.records.get(key)
        if record is not None:
            return self._do(self._unchanged(key, DUPLICATE, record))
        if self._throughput is None:
            self._store.put(key, item)
            return {"TableName": self._name}
        return self._do(self._put(key, None, item))

    def _do(self, prepared: Prepared) -> dict[str, Any]:
        _, refusal, write, cost, _ = prepared
        if cost is not None and self._throughput is not None:
            refusal = self._throughput.write(cost) or refusal
        if refusal is not None:
            return refusal.answer()
        write()
        return {"TableName": self._name}

    def _put(self, key: Key, record: Record | None, after: StoredItem) -> Prepared:
        if self._throughput is None:
            return key, None, partial(self._store.put, key, after), None, 0
        size = item_bytes(after)
        if size > MAX_ITEM_BYTES:
            return self._unchanged(key, TOO_LARGE, record)
        cost = self._throughput.cost(key, record, after, size)
        return key, None, partial(self._store.put, key, after, size), cost, size

    def _unchanged(self, key: Key, refusal: Refusal | None, record: Record | None) -> Prepared:
        if self._throughput is None:
            return key, refusal, _do_nothing, None, 0
        item = None if record is None else record.item
        return key, refusal, _do_nothing, self._throughput.cost(key, record, item), 0


def _do_nothing() -> None:
    pass


def _failed(request: Payload, record: Record | None) -> Refusal:
    """A condition that is not true, with the item that stands there where it was asked for.

    As JSON, since a later statement of the same request may change the item itself.
    """
    asked = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    item = (record.document or record.read()) if asked and record is not None else None
    return Refusal("ConditionalCheckFailed", "The conditional request failed", item)
