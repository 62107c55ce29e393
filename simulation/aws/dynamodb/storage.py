"""The items of one table in memory: by key, by index, and in the form that answers carry."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import orjson

from simulation.aws.dynamodb.evaluate import Attribute, Item
from simulation.aws.dynamodb.parsed import Changes
from simulation.aws.dynamodb.sizes import item_bytes
from simulation.aws.observer import Observer

Key: TypeAlias = tuple[str, str]
StoredItem: TypeAlias = dict[str, Attribute]

INDEXES: Final = {"GSI1": ("GSI1PK", "GSI1SK"), "GSI2": ("GSI2PK", "GSI2SK")}
_PARTITIONS: Final = tuple(partition for partition, _ in INDEXES.values())
_NO_ITEM: Final[Item] = {}


def key_of(item: Item) -> Key:
    """The table's own key of an item, or of whatever holds one."""
    return item["PK"]["S"], item["SK"]["S"]


@dataclass(slots=True)
class Record:
    """An item, and its JSON once it was read after a write."""

    item: StoredItem
    document: orjson.Fragment | None = None
    size_bytes: int = 0
    """Known where the table is metered, and not before it was asked for."""

    def size(self) -> int:
        """The item's size, which is kept: a metered table never changes an item itself."""
        size = self.size_bytes = self.size_bytes or item_bytes(self.item)
        return size

    def read(self) -> orjson.Fragment:
        """Make the item's JSON, which is kept until the next write."""
        document = self.document = orjson.Fragment(orjson.dumps(self.item))
        return document


class Store:
    """Items by (PK, SK), each index by its partition key."""

    def __init__(self) -> None:
        self.records: dict[Key, Record] = {}
        self._indexes: dict[str, dict[str, set[Key]]] = {name: {} for name in _PARTITIONS}

    def keys_in_index(self, index: str, value: str) -> Collection[Key]:
        """The keys of the items that an index holds under a value of its partition key."""
        return self._indexes[INDEXES[index][0]].get(value, ())

    def put(self, key: Key, item: StoredItem, size_bytes: int = 0) -> None:
        """Store an item, in place of what was there."""
        record = self.records.get(key)
        self.records[key] = Record(item, None, size_bytes)
        before = _NO_ITEM if record is None else record.item
        for partition, keys in self._indexes.items():
            old, new = before.get(partition), item.get(partition)
            if old != new:
                if old is not None:
                    keys[old["S"]].discard(key)
                if new is not None:
                    keys.setdefault(new["S"], set()).add(key)

    def change(
        self, key: Key, record: Record | None, changes: Changes, new: Sequence[Attribute]
    ) -> None:
        """Make worked-out changes to an item, which begins as nothing but its key."""
        if record is not None and changes.names.isdisjoint(_PARTITIONS):
            # To change the item itself is faster than to change a copy.
            record.document = None
            changes.make(record.item, new)
            return
        before = {"PK": {"S": key[0]}, "SK": {"S": key[1]}} if record is None else record.item
        self.put(key, changes.make(dict(before), new))

    def delete(self, key: Key) -> None:
        """Remove an item, if it is there."""
        record = self.records.pop(key, None)
        if record is not None:
            for partition, keys in self._indexes.items():
                if partition in record.item:
                    keys[record.item[partition]["S"]].discard(key)


class WatchedStore(Store):
    """Reports each write, and never changes an item itself: an observer may keep both."""

    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self._observer = observer

    def put(self, key: Key, item: StoredItem, size_bytes: int = 0) -> None:
        """Store an item, in place of what was there."""
        record = self.records.get(key)
        super().put(key, item, size_bytes)
        self._observer.wrote(None if record is None else record.item, item)

    def delete(self, key: Key) -> None:
        """Remove an item, if it is there."""
        record = self.records.get(key)
        super().delete(key)
        if record is not None:
            self._observer.wrote(record.item, None)
