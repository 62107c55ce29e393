"""An ingest to attack: a program of its own on the embedded AWS, with an event and a user."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

from aws.client import Connection
from local.emulator import stack as stacks
from operations import events
from schema.items import EventConfig
from schema.states import EventType
from tests import programs
from tests.faults.program import Program
from tests.ingest.support import SECRET, token
from tests.security.client import Target

_SEATS: Final = 5
_TOKEN_S: Final = 3_600


@asynccontextmanager
async def running(
    connection: Connection, *, connections: int, **variables: str
) -> AsyncIterator[tuple[Program, Target]]:
    """Run it until the block ends, with MAX_CONNECTIONS=`connections`."""
    name = f"attacked-{uuid4().hex[:12]}"
    stack = await stacks.deploy_pipeline(connection, name, stacks.own_names(name))
    event = EventConfig(event_id="event-1", event_type=EventType.FIRST_COME)
    await events.create(connection, stack.table_name, event, _SEATS)
    environment = programs.variables(
        connection, stack, JWT_SECRET=SECRET, MAX_CONNECTIONS=str(connections), **variables
    )
    async with programs.ingest(environment) as (program, url):
        user, attacker = (token(name, expires_in_s=_TOKEN_S) for name in ("user-1", "user-2"))
        found = target_of(url, connections)
        yield (
            program,
            replace(
                found, pid=program.pid, token=user, attacker_token=attacker, event=event.event_id
            ),
        )


def target_of(url: str, connections: int) -> Target:
    """What a URL stands for; raises ValueError where it has no host or port."""
    parts = urlsplit(url)
    if not parts.hostname or not parts.port:
        raise ValueError(f"{url!r} has no host or no port")
    return Target(host=parts.hostname, port=parts.port, connections=connections)
