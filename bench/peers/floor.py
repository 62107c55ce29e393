"""Peer: exactly the AWS calls that our worker makes, in bare loops without its logic.

What it lacks: decoding, deciding, leases, credits, retries, metrics, logs. What is left is the
client's own price, below which no program of the same calls can go.
"""

import argparse
import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Final, get_args

import anyio
import orjson

from aws import statements
from aws.client import Client, ClientKind, ClientOptions, Connection
from aws.sdk import open_client
from bench.peers import steps
from config.limits import DYNAMODB_BATCH_GET_KEYS
from schema import keys
from schema.events import encode, participation_processed
from schema.items import Change, RequestItem
from schema.states import ResultCode, Status

_LOOPS: Final = 4
_TEN: Final = 10
_STATEMENTS: Final = 25
_NOW_MS: Final = 1_767_225_600_000
_NOW: Final = datetime.fromtimestamp(_NOW_MS / 1000, UTC)


class Floor:
    """Receive, one read, the writes, publish, delete; for batches of a given size."""

    def __init__(self, sqs: Client, dynamodb: Client, events: Client, batch: int) -> None:
        self._sqs = sqs
        self._dynamodb = dynamodb
        self._events = events
        self._batch = batch

    async def run(self) -> None:
        """Work until killed."""
        while True:
            messages: list[dict[str, Any]] = []
            while len(messages) < self._batch:
                most = min(_TEN, self._batch - len(messages))
                received = await self._receive(most, wait_s=0 if messages else 10)
                messages += received
                if len(received) < most:
                    break
            if messages:
                await self._handle(messages)

    async def _receive(self, most: int, *, wait_s: int) -> list[dict[str, Any]]:
        parameters = steps.RECEIVE | {"MaxNumberOfMessages": most, "WaitTimeSeconds": wait_s}
        answer = await self._sqs.call("ReceiveMessage", **parameters, MessageAttributeNames=["All"])
        received: list[dict[str, Any]] = answer.get("Messages", [])
        return received

    async def _handle(self, messages: list[dict[str, Any]]) -> None:
        bodies = [orjson.loads(message["Body"]) for message in messages]
        events = {body["eventId"] for body in bodies}
        wanted = [
            *(statements.request_key(body["requestId"]) for body in bodies),
            *(
                statements.event_key(event, sort_key)
                for event in events
                for sort_key in (keys.CONFIG_SORT_KEY, keys.CAPACITY_SORT_KEY)
            ),
        ]
        for part in _parts(wanted, DYNAMODB_BATCH_GET_KEYS):
            await self._dynamodb.call(
                "BatchGetItem",
                RequestItems={steps.TABLE_NAME: {"Keys": part, "ConsistentRead": True}},
            )
        winners = [change(body, seated=True) for body in bodies if body["eventId"] in SEATED]
        losers = [change(body, seated=False) for body in bodies if body["eventId"] not in SEATED]
        if winners:
            await self._take_seats(winners)
        for part in _parts(losers, _STATEMENTS):
            texts = [statements.update_statement(steps.TABLE_NAME, change) for change in part]
            await self._dynamodb.call("BatchExecuteStatement", Statements=texts)
        for part in _parts(winners + losers, _TEN):
            await self._events.call("PutEvents", Entries=[_entry(change.after) for change in part])
        for handles in _parts([message["ReceiptHandle"] for message in messages], _TEN):
            await self._sqs.call(
                "DeleteMessageBatch",
                QueueUrl=steps.QUEUE_URL,
                Entries=[{"Id": str(n), "ReceiptHandle": h} for n, h in enumerate(handles)],
            )

    async def _take_seats(self, winners: list[Change]) -> None:
        await self._dynamodb.call(
            "TransactWriteItems",
            TransactItems=[
                statements.take_seats_action(
                    steps.TABLE_NAME, winners[0].before.event_id, len(winners), _NOW_MS
                ),
                *(statements.update_action(steps.TABLE_NAME, change) for change in winners),
            ],
            ClientRequestToken=winners[0].before.request_id,
        )


SEATED: Final = frozenset(os.environ.get("SEATED_EVENTS", "event-0").split(","))
"""The events that have seats, of which one at most is in a run."""


def change(body: dict[str, str], *, seated: bool) -> Change:
    """The step that decides a request."""
    ids = {
        "request_id": body["requestId"],
        "event_id": body["eventId"],
        "user_id": body["userId"],
        "event_type": "FIRST_COME",
        "queued_at_ms": _NOW_MS,
    }
    return Change(
        RequestItem(**ids, status=Status.QUEUED),  # type: ignore[arg-type]
        RequestItem(
            **ids,  # type: ignore[arg-type]
            status=Status.SUCCEEDED if seated else Status.REJECTED,
            result_code=(ResultCode.SUCCESS if seated else ResultCode.REJECTED_CAPACITY).value,
            started_at_ms=_NOW_MS,
            finished_at_ms=_NOW_MS,
            attempt=1,
            is_dlq=False,
            worker_id="worker-1",
        ),
    )


def _entry(item: RequestItem) -> dict[str, Any]:
    return {
        "EventBusName": steps.BUS_NAME,
        "Source": "kr.ac.dongduk.worker",
        "DetailType": "ParticipationProcessed",
        "Detail": encode(participation_processed(item, env="dev")).decode(),
        "Time": _NOW,
    }


def _parts(items: list[Any], most: int) -> list[list[Any]]:
    return [items[start : start + most] for start in range(0, len(items), most)]


async def main(client: ClientKind, batch: int) -> None:
    """Work until the process is ended."""
    connection = Connection(os.environ["AWS_REGION"], os.environ["AWS_ENDPOINT_URL"], client=client)
    async with AsyncExitStack() as stack:
        sqs, dynamodb, events = [
            await stack.enter_async_context(
                open_client(service, connection, ClientOptions(read_timeout_s=30))
            )
            for service in ("sqs", "dynamodb", "events")
        ]
        tasks = await stack.enter_async_context(anyio.create_task_group())
        for _ in range(_LOOPS):
            tasks.start_soon(Floor(sqs, dynamodb, events, batch).run)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", choices=get_args(ClientKind), required=True)
    parser.add_argument("--batch", type=int, required=True)
    arguments = parser.parse_args()
    anyio.run(main, arguments.client, arguments.batch, backend_options={"use_uvloop": True})
