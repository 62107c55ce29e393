"""Peer: single calls of one client, one after the other; prints the processor time of each."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from time import process_time
from typing import Any, Final, get_args

import anyio
import orjson

from aws import statements
from aws.client import Client, ClientKind, ClientOptions, Connection
from aws.sdk import open_client
from bench.peers import steps
from bench.peers.floor import change
from schema import keys

WARM_UP_CALLS: Final = 20
_TEN: Final = 10
_SEATS: Final = 49
_STATEMENTS: Final = 25
_NOW_MS: Final = 1_767_225_600_000
EVENT: Final = "event-0"


def requests_needed(calls: int) -> int:
    """How many requests the stand-in must hold for this number of calls of each operation."""
    return (calls + WARM_UP_CALLS) * _STATEMENTS


class Calls:
    """Makes the parameters of each call, and takes the processor time of it."""

    def __init__(self, clients: Mapping[str, Client], count: int) -> None:
        self._clients = clients
        self._count = count
        self._received: list[dict[str, Any]] = []
        self._bodies = [
            {"requestId": keys.request_id(EVENT, user), "eventId": EVENT, "userId": user}
            for user in (f"user-{number:07d}" for number in range(requests_needed(count)))
        ]

    async def run(self) -> dict[str, float]:
        """Microseconds per call, by operation."""
        receive = steps.RECEIVE | {"MessageAttributeNames": ["All"]}
        found = {
            "ReceiveMessage of 10": await self._time(
                "sqs", "ReceiveMessage", (receive for _ in iter(int, 1))
            )
        }
        found["DeleteMessageBatch of 10"] = await self._time(
            "sqs", "DeleteMessageBatch", self._deletes()
        )
        for label, operation, parameters in (
            ("BatchGetItem of 52", "BatchGetItem", self._read()),
            ("TransactWriteItems of 50", "TransactWriteItems", self._seats()),
        ):
            endless = (parameters for _ in iter(int, 1))
            found[label] = await self._time("dynamodb", operation, endless)
        found["BatchExecuteStatement of 25"] = await self._time(
            "dynamodb", "BatchExecuteStatement", self._updates()
        )
        events = (self._events() for _ in iter(int, 1))
        found["PutEvents of 10"] = await self._time("events", "PutEvents", events)
        return found

    async def _time(
        self, service: str, operation: str, parameters: Iterator[dict[str, Any]]
    ) -> float:
        client = self._clients[service]
        prepared = [next(parameters) for _ in range(self._count + WARM_UP_CALLS)]
        for number, each in enumerate(prepared):
            if number == WARM_UP_CALLS:
                began_s = process_time()
            answer = await client.call(operation, **each)
            self._received += answer.get("Messages", ())
        return (process_time() - began_s) / self._count * 1e6

    def _deletes(self) -> Iterator[dict[str, Any]]:
        handles = [message["ReceiptHandle"] for message in self._received]
        for start in range(0, len(handles), _TEN):
            part = handles[start : start + _TEN]
            entries = [{"Id": str(n), "ReceiptHandle": h} for n, h in enumerate(part)]
            yield {"QueueUrl": steps.QUEUE_URL, "Entries": entries}

    def _read(self) -> dict[str, Any]:
        wanted = [
            *(statements.request_key(body["requestId"]) for body in self._bodies[:50]),
            statements.event_key(EVENT, keys.CONFIG_SORT_KEY),
            statements.event_key(EVENT, keys.CAPACITY_SORT_KEY),
        ]
        return {"RequestItems": {steps.TABLE_NAME: {"Keys": wanted, "ConsistentRead": True}}}

    def _seats(self) -> dict[str, Any]:
        # The same token each time: the stand-in, as AWS, then lets the repetitions pass.
        changes = [change(body, seated=True) for body in self._bodies[:_SEATS]]
        return {
            "TransactItems": [
                statements.take_seats_action(steps.TABLE_NAME, EVENT, len(changes), _NOW_MS),
                *(statements.update_action(steps.TABLE_NAME, change) for change in changes),
            ],
            "ClientRequestToken": "a-token",
        }

    def _updates(self) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self._bodies), _STATEMENTS):
            changes = [change(b, seated=False) for b in self._bodies[start : start + _STATEMENTS]]
            yield {
                "Statements": [statements.update_statement(steps.TABLE_NAME, c) for c in changes]
            }

    def _events(self) -> dict[str, Any]:
        now = datetime.fromtimestamp(_NOW_MS / 1000, UTC)
        detail = orjson.dumps(self._bodies[0] | {"filler": "x" * 400}).decode()
        entry = {"EventBusName": steps.BUS_NAME, "Source": "bench", "DetailType": "Bench"}
        return {"Entries": [entry | {"Detail": detail, "Time": now} for _ in range(_TEN)]}


async def main(kind: ClientKind, count: int) -> None:
    """Make the calls, and print what they cost."""
    connection = Connection(os.environ["AWS_REGION"], os.environ["AWS_ENDPOINT_URL"], client=kind)
    async with AsyncExitStack() as stack:
        clients = {
            service: await stack.enter_async_context(
                open_client(service, connection, ClientOptions(read_timeout_s=30))
            )
            for service in ("sqs", "dynamodb", "events")
        }
        sys.stdout.buffer.write(orjson.dumps(await Calls(clients, count).run()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", choices=get_args(ClientKind), required=True)
    parser.add_argument("--calls", type=int, required=True)
    arguments = parser.parse_args()
    anyio.run(main, arguments.client, arguments.calls, backend_options={"use_uvloop": True})
