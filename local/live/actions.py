"""What the page's buttons do: clicks, events, faults, the end of the worker, the checks."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import anyio
import httpx
from anyio.abc import TaskGroup

from aws.errors import AwsError
from aws.objects import download_lake
from aws.sdk import open_client
from local.errors import LocalError
from local.faults.actions import Fault as Strike
from local.faults.actions import Quota, Refuse
from local.faults.proxy import FaultProxy
from local.live import checks, crowd
from local.live.live import Live
from local.live.readings import Reader
from local.live.snapshot import Burst, Check, Fault, Tone
from local.pipeline_stack import PipelineStack
from operations import events, lost_events
from schema.items import EventConfig
from schema.keys import request_id
from schema.names import LAKE_ROOT
from schema.states import EventType

MAX_CLICKS: Final = 5_000
MAX_SEATS: Final = 100_000
MAX_FAULT_S: Final = 60
_PUT_EVENTS_A_SECOND: Final = 10
FAULTS: Final = {
    "dynamodb": Strike("*", Refuse(), service="DynamoDB_20120810"),
    "eventbridge": Strike("PutEvents", Quota(_PUT_EVENTS_A_SECOND)),
}
_NAMES: Final = {"dynamodb": "DynamoDB is away", "eventbridge": "EventBridge throttles"}
_SETTLED_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.2


class Refused(Exception):
    """An action cannot be done now; the text says why."""


class Actions:
    """Carries out what the page's buttons ask for; what takes longer goes on in `tasks`."""

    def __init__(
        self,
        live: Live,
        stack: PipelineStack,
        reader: Reader,
        proxy: FaultProxy,
        directory: Path,
        tasks: TaskGroup,
        clock: Callable[[], int],
    ) -> None:
        self._live = live
        self._stack = stack
        self._reader = reader
        self._proxy = proxy
        self._lake_dir = directory / "lake"
        self._tasks = tasks
        self._clock = clock
        self._events = self._bursts = 1
        self._clicked: dict[str, set[str]] = {}

    async def click(self, user: str) -> str:
        """Click once as a user, and wait for the decision."""
        event_id = self._live.tally.event_id
        try:
            async with crowd.client_of(
                user, self._stack.ingest.url, self._stack.jwt_secret
            ) as http:
                click = await crowd.click(http, event_id)
                accepted = click.status == httpx.codes.ACCEPTED
                tone = Tone.CALM if accepted else Tone.WARN
                self._live.happened(f"{user} clicked; ingest answered {click}.", tone)
                if not accepted:
                    raise Refused(f"ingest answered {click}")
                self._live.own_clicks += 1
                request = request_id(event_id, user)
                self._accepted({request})
                text = f"{user}: {await crowd.decision(http, request)}"
        except ValueError as error:
            raise Refused(f"no token can name this user: {error}") from error
        except httpx.HTTPError as error:
            raise Refused(f"ingest did not answer: {error}") from error
        self._live.happened(f"{text}.")
        return f"{text} (a duplicate of an earlier click)" if click.is_duplicate else text

    def burst(self, clicks: int) -> str:
        """Begin a burst of new users, each clicking once."""
        if self._live.burst is not None:
            raise Refused("a burst is under way: wait for its end")
        self._bursts += 1
        users = [f"crowd-{self._bursts}-{number:05d}" for number in range(clicks)]
        self._live.burst = Burst(0, clicks)
        self._live.happened(f"{clicks:,} users click.")
        self._tasks.start_soon(self._send, users)
        return f"{clicks:,} clicks are sent"

    async def _send(self, users: list[str]) -> None:
        def clicked() -> None:
            under_way = self._live.burst
            if under_way is not None:
                self._live.burst = replace(under_way, answered=under_way.answered + 1)

        try:
            answers = await crowd.send(
                self._stack.ingest.url,
                self._live.tally.event_id,
                users,
                self._stack.jwt_secret,
                clicked,
            )
        except LocalError as error:
            self._live.happened(f"The burst failed: {error}", Tone.BAD)
            return
        finally:
            self._live.burst = None
        self._live.own_clicks += answers.accepted + answers.duplicates
        self._accepted(answers.request_ids)
        refused = ", ".join(f"{count:,} with {code}" for code, count in answers.refused.items())
        self._live.happened(
            f"Answered in {answers.seconds:.1f} s: {answers.accepted:,} accepted"
            + (f", refused {refused}." if refused else "."),
            Tone.WARN if refused else Tone.CALM,
        )

    async def new_event(self, seats: int) -> str:
        """Create an event and follow it from now on."""
        if self._live.burst is not None:
            raise Refused("a burst is under way: wait for its end")
        self._events += 1
        event = EventConfig(event_id=f"event-{self._events}", event_type=EventType.FIRST_COME)
        outputs, connection = self._stack.outputs, self._stack.emulator.connection
        if not await events.create(connection, outputs.table_name, event, seats):
            raise Refused(f"the event {event.event_id} exists already: press again")
        self._live.begin(event.event_id)
        self._live.happened(f"A new event, {event.event_id}, with {seats:,} seats.")
        return f"{event.event_id} is open"

    async def close(self) -> str:
        """Close the event: no further click is accepted."""
        outputs, connection = self._stack.outputs, self._stack.emulator.connection
        event_id = self._live.tally.event_id
        try:
            await events.set_times(
                connection,
                outputs.table_name,
                event_id,
                partial(events.closed, at_ms=self._clock()),
            )
        except events.EventError as error:
            raise Refused(str(error)) from error
        self._live.happened(f"{event_id} closes; ingest knows within seconds.")
        return f"{event_id} is closed"

    def fault(self, name: str, seconds: int) -> str:
        """Put a fault in force on the wire between the programs and the embedded AWS."""
        if any(fault.name == name for fault in self._live.faults):
            raise Refused("this fault is in force already")
        self._tasks.start_soon(self._strike, name, seconds)
        return f"{_NAMES[name]} for {seconds} s"

    async def _strike(self, name: str, seconds: int) -> None:
        fault = Fault(name, self._clock() + 1000 * seconds)
        self._live.faults = (*self._live.faults, fault)
        self._live.happened(f"{_NAMES[name]} for {seconds} s.", Tone.WARN)
        with self._proxy.add(FAULTS[name]):
            await anyio.sleep(seconds)
        self._live.faults = tuple(other for other in self._live.faults if other is not fault)
        self._live.happened("The fault is over.")

    def kill(self) -> str:
        """Kill the worker in the middle of its work; it is started again."""
        if not self._stack.worker.is_running:
            raise Refused("the worker is gone already")
        self._stack.worker.kill()
        self._live.happened("The worker is killed (SIGKILL).", Tone.WARN)
        return "the worker is killed"

    async def republish(self) -> str:
        """Publish the lost events that were kept."""
        if not self._live.kept:
            raise Refused("no event is lost")
        outputs = self._stack.outputs
        async with lost_events.queue_and_bus(
            self._stack.emulator.connection,
            outputs.lost_events_queue_url,
            outputs.event_bus_name,
            None,
        ) as (queue, bus):
            done = await lost_events.republish(queue, bus, random=Random())  # noqa: S311
        text = f"{done.published:,} lost events published after all."
        self._live.happened(text, Tone.GOOD)
        return text

    def check(self) -> str:
        """Begin the checks; they wait for the queue to be empty."""
        if self._live.is_checking:
            raise Refused("the checks are running")
        self._live.is_checking, self._live.checks = True, ()
        self._tasks.start_soon(self._check)
        return "the checks run once everything is decided"

    async def _check(self) -> None:
        try:
            self._live.checks = await self._judged()
        except (AwsError, Refused) as error:
            self._live.happened(f"The checks could not run: {error}", Tone.BAD)
            return
        finally:
            self._live.is_checking = False
        failed = [check.name for check in self._live.checks if not check.holds]
        if failed:
            self._live.happened(f"Checks that fail: {', '.join(failed)}.", Tone.BAD)
        else:
            self._live.happened("All checks pass.", Tone.GOOD)

    async def _judged(self) -> tuple[Check, ...]:
        event_id, outputs = self._live.tally.event_id, self._stack.outputs
        undecided = await self._until_settled()
        await self._stack.firehose.flush()
        async with open_client("s3", self._stack.emulator.connection) as s3:
            await download_lake(s3, outputs.bucket_name, LAKE_ROOT, self._lake_dir)
        lake, broken = await checks.read_lake(self._lake_dir, event_id)
        known = {
            *self._clicked.get(event_id, ()),
            *self._live.tally.request_ids,
            *self._live.lost_ids,
            *lake,
        }
        table = self._reader.table
        loaded = await table.load(known, [event_id])
        capacity = loaded.events[event_id].capacity
        if capacity is None:
            raise Refused(f"the event {event_id} has no capacity item")
        return checks.judge(
            capacity,
            [r for r in loaded.requests.values() if r.event_id == event_id],
            {winner.request_id async for winner in table.winners(event_id)},
            lake,
            broken,
            undecided,
            (await self._reader.depth(outputs.dlq_url)).total,
            (await self._reader.depth(outputs.lost_events_queue_url)).total,
        )

    async def _until_settled(self) -> int:
        """Wait for a burst's end and an empty queue; returns how many messages are left."""
        left = 0
        with anyio.move_on_after(_SETTLED_WITHIN_S):
            while left := await self._undecided():  # noqa: ASYNC110 - SQS cannot notify us
                await anyio.sleep(_POLL_S)
        return left

    async def _undecided(self) -> int:
        """Messages in the queue, and clicks to come of a burst under way."""
        burst = self._live.burst
        coming = 0 if burst is None else burst.clicks - burst.answered
        return coming + (await self._reader.depth(self._stack.outputs.queue_url)).total

    def _accepted(self, request_ids: set[str]) -> None:
        self._clicked.setdefault(self._live.tally.event_id, set()).update(request_ids)
