"""One DynamoDB table in memory: the operations that the programs call."""

from collections.abc import Mapping
from typing import Any, Final

from simulation.aws import errors
from simulation.aws.account import Account, Payload, Reply
from simulation.aws.dynamodb.evaluate import Item
from simulation.aws.dynamodb.reads import Reads
from simulation.aws.dynamodb.refusal import Refusal
from simulation.aws.dynamodb.storage import INDEXES, Store, StoredItem, WatchedStore, key_of
from simulation.aws.dynamodb.throughput import Resource, Throughput, Usage
from simulation.aws.dynamodb.transactions import Transactions
from simulation.aws.dynamodb.writes import Writes
from simulation.aws.observer import Observer

_MAX_STATEMENTS: Final = 25


class Table:
    """The operations on one table's items.

    Limits and observer are the account's at the time when the table is made. Without DynamoDB
    limits, and without an observer of writes, nothing is measured, and sizes are not limited.
    """

    def __init__(self, name: str, account: Account) -> None:
        self.name = name
        self._account = account
        observer = account.observer
        # The benchmarks' observer looks at messages only: then writes stay as cheap as they can be.
        watched = observer is not None and type(observer).wrote is not Observer.wrote
        self.store = WatchedStore(observer) if watched and observer is not None else Store()
        metered = watched or account.limits.has_dynamodb_units
        self._throughput = Throughput(name, account) if metered else None
        self._reads = Reads(self.store, account, self._throughput)
        self._writes = Writes(name, self.store, self._throughput)
        self._transactions = Transactions(self._writes, account, self._throughput)

    @property
    def usage(self) -> Mapping[str, Usage]:
        """Units taken so far, by index, the table's own under ""; empty where none are counted."""
        return {} if self._throughput is None else self._throughput.usage()

    def seed(self, item: StoredItem) -> None:
        """Store an item as if it had always been there: not metered, limited or observed.

        Its JSON is made now: seeding is not measured, reading is.
        """
        key = key_of(item)
        Store.put(self.store, key, item)
        self.store.records[key].read()

    def get_item(self, payload: Payload) -> dict[str, Any]:
        """GetItem."""
        self._check_table(payload)
        return self._reads.get(payload)

    def batch_get_item(self, payload: Payload) -> dict[str, Any]:
        """BatchGetItem; what is throttled, or too much for one answer, is left unprocessed."""
        answer: dict[str, Any] = {}
        left: dict[str, Any] = {}
        for table, request in payload["RequestItems"].items():
            self._check_table({"TableName": table})
            answer[table], rest = self._reads.batch_get(request)
            if rest is not None:
                left[table] = rest
        return {"Responses": answer, "UnprocessedKeys": left}

    def put_item(self, payload: Payload) -> dict[str, Any]:
        """PutItem."""
        self._writes.write({"Put": payload})
        return {}

    def update_item(self, payload: Payload) -> dict[str, Any]:
        """UpdateItem."""
        wanted = payload.get("ReturnValues", "NONE")
        if wanted == "NONE":
            self._writes.write({"Update": payload})
            return {}
        key = key_of(payload["Key"])
        record = self.store.records.get(key)
        # A copy, since the write may change the item itself.
        before = {} if record is None else dict(record.item)
        self._writes.write({"Update": payload})
        after = self.store.records[key].item
        item: Item = before if wanted.endswith("OLD") else after
        if wanted.startswith("UPDATED"):
            # In the item's own order, which a set would leave to chance.
            item = {n: item[n] for n in item if after.get(n) != before.get(n)}
        return {"Attributes": item} if item else {}

    def delete_item(self, payload: Payload) -> dict[str, Any]:
        """DeleteItem."""
        self._writes.write({"Delete": payload})
        return {}

    def transact_write_items(self, payload: Payload, reply: Reply) -> None:
        """TransactWriteItems: all of it, or a reason for each action."""
        self._transactions.transact(payload, reply)

    def batch_execute_statement(self, payload: Payload) -> dict[str, Any]:
        """BatchExecuteStatement of PartiQL INSERTs and UPDATEs, each with a result of its own."""
        statements = payload["Statements"]
        if len(statements) > _MAX_STATEMENTS:
            raise errors.validation("Member must have length less than or equal to 25")
        execute = self._writes.statement
        fault = self._account.entry_fault
        if fault is None:
            return {"Responses": [execute(statement) for statement in statements]}
        answers = []
        for statement in statements:
            code = fault("BatchExecuteStatement")
            failed = None if code is None else Refusal(code, "The statement failed.").answer()
            answers.append(failed or execute(statement))
        return {"Responses": answers}

    def query(self, payload: Payload) -> dict[str, Any]:
        """Query of an index."""
        self._check_table(payload)
        return self._reads.query(payload)

    def describe_table(self, payload: Payload) -> dict[str, Any]:
        """DescribeTable, as far as checks read it."""
        self._check_table(payload)
        throughput = self._throughput
        table = {
            "TableName": self.name,
            "TableArn": self._account.arn("dynamodb", f"table/{self.name}"),
            "TableStatus": "ACTIVE",
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "KeySchema": _schema("PK", "SK"),
            "ItemCount": len(self.store.records),
            **({} if throughput is None else _warm(throughput.table)),
        }
        table["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index,
                "IndexArn": f"{table['TableArn']}/index/{index}",
                "IndexStatus": "ACTIVE",
                "KeySchema": _schema(*names),
                "Projection": {"ProjectionType": "ALL"},
                **({} if throughput is None else _warm(throughput.indexes[index])),
            }
            for index, names in INDEXES.items()
        ]
        return {"Table": table}

    def _check_table(self, payload: Payload) -> None:
        if payload["TableName"] != self.name:
            raise errors.no_table(payload["TableName"])


def _schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def _warm(resource: Resource) -> dict[str, Any]:
    """What a table or an index bears now ("Warm throughput"), where that is limited."""
    reads, writes = resource.reads.warm_units, resource.writes.warm_units
    if reads is None or writes is None:
        return {}
    return {
        "WarmThroughput": {
            "ReadUnitsPerSecond": int(reads),
            "WriteUnitsPerSecond": int(writes),
            "Status": "ACTIVE",
        }
    }
