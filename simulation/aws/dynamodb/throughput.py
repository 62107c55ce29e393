"""What writes and reads cost on the table and its indexes, and which of them bears no more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from simulation.aws.account import Account
from simulation.aws.dynamodb.evaluate import Item
from simulation.aws.dynamodb.meter import Kind, Meter
from simulation.aws.dynamodb.refusal import Refusal
from simulation.aws.dynamodb.sizes import write_units
from simulation.aws.dynamodb.storage import INDEXES, Key, Record

_NO_ITEM: Final[Item] = {}
_MESSAGES: Final = {
    "Table": (
        "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically "
        "scaling your table or index so please try again shortly."
    ),
    "Index": (
        "Throughput exceeds the current capacity for one or more global secondary indexes. "
        "DynamoDB is automatically scaling your index so please try again shortly."
    ),
}


@dataclass(frozen=True, slots=True)
class Usage:
    """Units that a table or an index has taken since it was made."""

    write_units: float
    read_units: float


class Resource:
    """The table or an index, with its two meters."""

    def __init__(self, name: str, index: str, account: Account) -> None:
        limits = account.limits
        self.arn = account.arn("dynamodb", f"table/{name}" + (f"/index/{index}" if index else ""))
        self.kind = "Index" if index else "Table"
        writes = limits.index_write_units if index else limits.table_write_units
        reads = limits.index_read_units if index else limits.table_read_units
        of = self.kind.lower()
        self.writes = Meter(of, "write", writes, limits.partition_write_units)
        self.reads = Meter(of, "read", reads, limits.partition_read_units)

    @property
    def usage(self) -> Usage:
        """What was taken so far."""
        return Usage(self.writes.total, self.reads.total)

    def refusal(self, kind: Kind) -> Refusal:
        """The refusal of an operation that this resource does not bear.

        Where the whole on-demand table or index bears no more, DynamoDB has no reason of its own:
        all its partitions are at their limit. (API_ThrottlingReason: MaxOnDemandThroughputExceeded
        is for a maximum that the customer set, AccountLimitExceeded for the account's quota.)
        """
        reason = f"{self.kind}{kind.capitalize()}KeyRangeThroughputExceeded"
        return Refusal(
            "ThrottlingError",
            _MESSAGES[self.kind],
            throttling={"reason": reason, "resource": self.arn},
        )


class Cost(NamedTuple):
    """Write units of one write."""

    partition: str
    """The value of the table's partition key."""
    units: int
    """On the table, outside a transaction."""
    entries: list[tuple[Resource, str, int]]
    """On indexes: which one, the value of its partition key, and the units."""


class Throughput:
    """The meters of a table and its indexes."""

    def __init__(self, name: str, account: Account) -> None:
        self._clock = account.clock
        self._observer = account.observer
        self.table = Resource(name, "", account)
        self.indexes = {index: Resource(name, index, account) for index in INDEXES}
        self._by_keys = [(self.indexes[index], *names) for index, names in INDEXES.items()]

    def cost(
        self, key: Key, record: Record | None, after: Item | None, after_bytes: int = 0
    ) -> Cost:
        """Work out what a write costs that leaves `after`, or nothing (None), in a record's place.

        A write that leaves the item as it is costs what the item does, and nothing on an index:
        so does one whose condition is not true ("DynamoDB read and write operations").
        """
        before_bytes = 0 if record is None else record.size()
        units = write_units(max(before_bytes, after_bytes))
        before = None if record is None else record.item
        entries: list[tuple[Resource, str, int]] = []
        if before is not after and before != after:
            self._add_entries(
                entries, before or _NO_ITEM, before_bytes, after or _NO_ITEM, after_bytes
            )
        return Cost(key[0], units, entries)

    def _add_entries(
        self,
        entries: list[tuple[Resource, str, int]],
        before: Item,
        before_bytes: int,
        after: Item,
        after_bytes: int,
    ) -> None:
        """An entry holds the whole item; another key is a delete and a put.

        ("Using global secondary indexes in DynamoDB", provisioned throughput considerations.)
        """
        for index, partition, sort in self._by_keys:
            old, new = before.get(partition), after.get(partition)
            if old is None and new is None:
                continue
            if old is not None and (old != new or before.get(sort) != after.get(sort)):
                entries.append((index, old["S"], write_units(before_bytes)))
                old = None
            if new is not None:
                size = after_bytes if old is None else max(before_bytes, after_bytes)
                entries.append((index, new["S"], write_units(size)))

    def write(self, cost: Cost) -> Refusal | None:
        """Take what a write costs; an index that can't bear it throttles the table's write.

        ("Understanding global secondary index (GSI) write throttling and back pressure".)
        """
        partition, units, entries = cost
        now = self._clock.time()
        writes = self.table.writes
        limit = writes.lacking(partition, units, now)
        if limit is not None:
            return self._throttled(self.table, "write", limit)
        for index, value, entry_units in entries:
            limit = index.writes.lacking(value, entry_units, now)
            if limit is not None:
                return self._throttled(index, "write", limit)
        writes.take(partition, units, now)
        for index, value, entry_units in entries:
            index.writes.take(value, entry_units, now)
        return None

    def prepare(self, cost: Cost) -> Refusal | None:
        """Take a transaction's part on the table: twice the units, also where it is cancelled.

        ("Amazon DynamoDB Transactions: How it works", capacity management.)
        """
        return self.write(Cost(cost.partition, 2 * cost.units, []))

    def index(self, cost: Cost) -> Refusal | None:
        """Take a transaction's part on the indexes, whose entries are written once."""
        now = self._clock.time()
        for index, value, units in cost.entries:
            limit = index.writes.lacking(value, units, now)
            if limit is not None:
                return self._throttled(index, "write", limit)
        for index, value, units in cost.entries:
            index.writes.take(value, units, now)
        return None

    def read(self, resource: Resource, partition: str, units: float) -> Refusal | None:
        """Take a read's units."""
        now = self._clock.time()
        limit = resource.reads.lacking(partition, units, now)
        if limit is not None:
            return self._throttled(resource, "read", limit)
        resource.reads.take(partition, units, now)
        return None

    def usage(self) -> Mapping[str, Usage]:
        """The units taken so far, by index; the table's own under ""."""
        return {"": self.table.usage} | {name: i.usage for name, i in self.indexes.items()}

    def _throttled(self, resource: Resource, kind: Kind, limit: str) -> Refusal:
        if self._observer is not None:
            self._observer.throttled(limit, resource.arn)
        return resource.refusal(kind)
