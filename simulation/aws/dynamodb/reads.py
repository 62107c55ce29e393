"""Reads: single items, batches of them, and pages of an index."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from simulation.aws import errors
from simulation.aws.account import Account, Payload
from simulation.aws.dynamodb import expressions
from simulation.aws.dynamodb.evaluate import Attribute, Item, Values
from simulation.aws.dynamodb.sizes import read_units
from simulation.aws.dynamodb.storage import INDEXES, Key, Record, Store, key_of
from simulation.aws.dynamodb.throughput import Throughput

_NO_VALUES: Final[Mapping[str, Attribute]] = {}
_MAX_GET_KEYS: Final = 100
_MAX_GET_BYTES: Final = 16 * 1_024 * 1_024
"""Both: DynamoDB API Reference, "BatchGetItem"."""
_MAX_PAGE_BYTES: Final = 1_024 * 1_024
"""What one Query reads ("Query" in the API Reference)."""


class Reads:
    """The reads of one table."""

    def __init__(self, store: Store, account: Account, throughput: Throughput | None) -> None:
        self._store = store
        self._account = account
        self._throughput = throughput

    def get(self, payload: Payload) -> dict[str, Any]:
        """GetItem."""
        key = key_of(payload["Key"])
        record = self._store.records.get(key)
        if self._throughput is not None:
            consistent = payload.get("ConsistentRead", False)
            units = read_units(_size(record), consistent=consistent)
            refusal = self._throughput.read(self._throughput.table, key[0], units)
            if refusal is not None:
                raise refusal.error()
        if record is None:
            return {}
        if "ProjectionExpression" in payload:
            return {"Item": project(record.item, payload)}
        return {"Item": record.document or record.read()}

    def batch_get(self, request: Payload) -> tuple[list[Any], Payload | None]:
        """The items of BatchGetItem, and the request for what was left unprocessed, if any."""
        keys = [(key["PK"]["S"], key["SK"]["S"]) for key in request["Keys"]]
        if len(keys) > _MAX_GET_KEYS:
            raise errors.validation("Too many items requested for the BatchGetItem call")
        if len(set(keys)) != len(keys):
            raise errors.validation("Provided list of item keys contains duplicates")
        rest = None
        if self._throughput is not None or self._account.entry_fault is not None:
            keys, left = self._readable(keys, consistent=request.get("ConsistentRead", False))
            if left:
                names = [{"PK": {"S": partition}, "SK": {"S": sort}} for partition, sort in left]
                rest = {**request, "Keys": names}
        records = [r for key in keys if (r := self._store.records.get(key)) is not None]
        if "ProjectionExpression" in request:
            return [project(record.item, request) for record in records], rest
        return [record.document or record.read() for record in records], rest

    def _readable(
        self, keys: Sequence[Key], *, consistent: bool
    ) -> tuple[list[Key], Sequence[Key]]:
        """Which keys are read, and which are left; raises a throttle where none could be."""
        read: list[Key] = []
        left: list[Key] = []
        reasons: list[Mapping[str, str]] = []
        size_bytes = 0
        fault, throughput = self._account.entry_fault, self._throughput
        for key in keys:
            if fault is not None and fault("BatchGetItem") is not None:
                left.append(key)
                continue
            if throughput is not None:
                size = _size(self._store.records.get(key))
                if size_bytes + size > _MAX_GET_BYTES:
                    left.append(key)
                    continue
                units = read_units(size, consistent=consistent)
                refusal = throughput.read(throughput.table, key[0], units)
                if refusal is not None:
                    left.append(key)
                    if refusal.throttling is not None:
                        reasons.append(refusal.throttling)
                    continue
                size_bytes += size
            read.append(key)
        if len(reasons) == len(keys):
            raise errors.nothing_read(reasons)
        return read, left

    def query(self, payload: Payload) -> dict[str, Any]:
        """Query of an index, in either direction, with limit, filter and start key."""
        names = payload.get("ExpressionAttributeNames")
        values = payload.get("ExpressionAttributeValues", _NO_VALUES)
        condition = expressions.condition(payload["KeyConditionExpression"], names)
        index = payload.get("IndexName", "")
        if index not in INDEXES:
            raise errors.validation(f"The table does not have the specified index: {index}")
        if payload.get("ConsistentRead", False):
            raise errors.validation(
                "Consistent reads are not supported on global secondary indexes"
            )
        partition, sort = INDEXES[index]
        if partition not in condition.equals:
            raise errors.validation(f"Query condition missed key schema element: {partition}")
        value = condition.equals[partition]({}, values)
        text = value["S"] if value else ""
        keys = self._store.keys_in_index(index, text)
        records = self._store.records
        found = [r for key in keys if condition.test((r := records[key]).item, values)]
        page, is_cut = _page(found, sort, payload, metered=self._throughput is not None)
        if self._throughput is not None:
            units = read_units(sum(record.size() for record in page), consistent=False)
            refusal = self._throughput.read(self._throughput.indexes[index], text, units)
            if refusal is not None:
                raise refusal.error()
        return _answer([record.item for record in page], payload, values, is_cut=is_cut)


def _page(
    found: Sequence[Record], sort: str, payload: Payload, *, metered: bool
) -> tuple[Sequence[Record], bool]:
    """The next page's items in order, and whether a limit ended it: there may be more, or not.

    ("Query" in the API Reference: a page that ends at `Limit` has a LastEvaluatedKey.)
    """

    def place(item: Item) -> tuple[str, str, str]:
        return item[sort]["S"], item["PK"]["S"], item["SK"]["S"]

    is_forward = payload.get("ScanIndexForward", True)
    start = payload.get("ExclusiveStartKey")
    if start is not None:
        # The item itself may have gone since.
        at = place(start)
        found = [r for r in found if (place(r.item) > at if is_forward else place(r.item) < at)]
    found = sorted(found, key=lambda record: place(record.item), reverse=not is_forward)
    limit = payload.get("Limit", len(found) + 1)
    size_bytes = 0
    for number, record in enumerate(found[:limit] if metered else ()):
        size_bytes += record.size()
        if size_bytes > _MAX_PAGE_BYTES:
            return found[:number], True
    return found[:limit], len(found) >= limit


def _answer(page: list[Item], payload: Payload, values: Values, *, is_cut: bool) -> dict[str, Any]:
    last = None
    if is_cut and page:
        last = {name: page[-1][name] for name in ("PK", "SK", *INDEXES[payload["IndexName"]])}
    scanned = len(page)
    if "FilterExpression" in payload:
        wanted = expressions.condition(
            payload["FilterExpression"], payload.get("ExpressionAttributeNames")
        )
        page = [item for item in page if wanted.test(item, values)]
    answer: dict[str, Any] = {
        "Items": [project(item, payload) for item in page],
        "Count": len(page),
        "ScannedCount": scanned,
    }
    return answer | {"LastEvaluatedKey": last} if last else answer


def project(item: Item, request: Payload) -> Item:
    """The attributes that were asked for: all, where no projection is."""
    text = request.get("ProjectionExpression")
    if text is None:
        return item
    names = request.get("ExpressionAttributeNames", {})
    wanted = (name.strip() for name in text.split(","))
    return {n: item[n] for name in wanted if (n := names.get(name, name)) in item}


def _size(record: Record | None) -> int:
    return 0 if record is None else record.size()
