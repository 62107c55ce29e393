"""Peer: ingest as people would write it, three AWS calls a request: put, send, update."""

import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aioboto3
import jwt
import orjson
import uvicorn
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from schema import keys

_MAX_CONNECTIONS: Final = 300
"""More than there are clients: nothing waits for a connection."""
_BACKLOG: Final = 2_048
_KEEP_ALIVE_S: Final = 75
_TTL_S: Final = 90 * 86_400
_NAMES: Final = {"#status": "status"}

_QUEUE_URL: Final = os.environ.get("QUEUE_URL", "")
_TABLE_NAME: Final = os.environ.get("TABLE_NAME", "")
_SECRET: Final = os.environ.get("JWT_SECRET", "")


async def participate(request: Request) -> JSONResponse:
    """Take a click: store it, queue it, record that it is queued."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    try:
        claims = jwt.decode(
            token, _SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]}
        )
    except jwt.PyJWTError as error:
        return JSONResponse({"title": str(error)}, 401)
    event_id, user_id = request.path_params["event_id"], claims["sub"]
    request_id = keys.request_id(event_id, user_id)
    dynamodb, sqs = request.state.dynamodb, request.state.sqs
    try:
        await dynamodb.put_item(**_put(request_id, event_id, user_id))
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return JSONResponse({"requestId": request_id, "isDuplicate": True}, 202)
    body = {"requestId": request_id, "eventId": event_id, "userId": user_id}
    await sqs.send_message(QueueUrl=_QUEUE_URL, MessageBody=orjson.dumps(body).decode())
    await dynamodb.update_item(**_update(request_id, user_id))
    return JSONResponse({"requestId": request_id, "isDuplicate": False}, 202)


def _put(request_id: str, event_id: str, user_id: str) -> dict[str, Any]:
    now_ms = time.time_ns() // 1_000_000
    return {
        "TableName": _TABLE_NAME,
        "Item": {
            **_key(request_id),
            "requestId": {"S": request_id},
            "eventId": {"S": event_id},
            "userId": {"S": user_id},
            "eventType": {"S": "FIRST_COME"},
            "status": {"S": "RECEIVED"},
            "requestedAt": {"N": str(now_ms)},
            "ttl": {"N": str(now_ms // 1000 + _TTL_S)},
        },
        "ConditionExpression": "attribute_not_exists(PK)",
    }


def _update(request_id: str, user_id: str) -> dict[str, Any]:
    now_ms = time.time_ns() // 1_000_000
    return {
        "TableName": _TABLE_NAME,
        "Key": _key(request_id),
        "UpdateExpression": "SET #status = :queued, queuedAt = :now, GSI1PK = :user, "
        "GSI1SK = :sort",
        "ConditionExpression": "#status = :received",
        "ExpressionAttributeNames": _NAMES,
        "ExpressionAttributeValues": {
            ":queued": {"S": "QUEUED"},
            ":received": {"S": "RECEIVED"},
            ":now": {"N": str(now_ms)},
            ":user": {"S": keys.user_index_pk(user_id)},
            ":sort": {"S": keys.user_index_sk(now_ms, request_id)},
        },
    }


def _key(request_id: str) -> dict[str, Any]:
    return {"PK": {"S": keys.request_pk(request_id)}, "SK": {"S": keys.REQUEST_SORT_KEY}}


@asynccontextmanager
async def _clients(_app: Starlette) -> AsyncIterator[Mapping[str, Any]]:
    session = aioboto3.Session()
    config = AioConfig(max_pool_connections=_MAX_CONNECTIONS)
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    async with (
        session.client("sqs", endpoint_url=endpoint, config=config) as sqs,
        session.client("dynamodb", endpoint_url=endpoint, config=config) as dynamodb,
    ):
        yield {"sqs": sqs, "dynamodb": dynamodb}


def main() -> None:
    """Serve until killed, on a free port that the first line on standard error names."""
    app = Starlette(
        routes=[Route("/events/{event_id}/participations", participate, methods=["POST"])],
        lifespan=_clients,
    )
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sys.stderr.write(orjson.dumps({"event": "ingest_started", "url": url}).decode() + "\n")
        sys.stderr.flush()
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
