"""`warm` and `cool` on AWS: what is deployed is read, the stacks are changed, and waited for."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import anyio

from aws.client import Connection
from aws.errors import Transient
from operations.account import clients, readers
from operations.account.clients import Clients
from operations.account.facts import Reservation, Scaling, TableState, Tasks
from operations.deployment import stack_name
from operations.needs import Needs
from operations.preflight.capacity import PROGRAMS
from operations.stacks import Report, StackError, Stacks, missing
from operations.templates import PIPELINE, SERVICE
from operations.warming import changes
from operations.warming.changes import Change, Deployed
from operations.warming.parts import WARMTH

_POLL_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A pipeline's stacks and what they made."""

    stack: str
    clients: Clients
    stacks: Stacks
    outputs: Mapping[str, str]
    service_outputs: Mapping[str, str]
    """Empty where there are no services."""
    deployed: Deployed

    async def apply(self, wanted: Sequence[Change]) -> None:
        """Change the stacks, each in one update; raises StackError."""
        for template in (PIPELINE, SERVICE):
            given = {c.parameter: c.after for c in wanted if c.template == template}
            if given:
                await self.stacks.change(stack_name(self.stack, template), given)

    async def release(self) -> None:
        """Give the load balancer's reservation back where an update of the stack has left it."""
        if not self.service_outputs:
            return
        arn, elbv2 = self.service_outputs["LoadBalancerArn"], self.clients.elbv2
        if (await readers.reservation(elbv2, arn)).units:
            await elbv2.call(
                "ModifyCapacityReservation", LoadBalancerArn=arn, ResetCapacityReservation=True
            )

    async def missing(self, needs: Needs) -> Sequence[str]:
        """What is not there yet of what the stacks are set to, a line each; raises StackError."""
        table = await readers.table(self.clients.dynamodb, self.outputs["TableName"])
        lines = [*_cold(table, needs)]
        if not self.service_outputs:
            return lines
        cluster = self.service_outputs["ClusterName"]
        for program in PROGRAMS:
            service = self.service_outputs[f"{program.parameter}ServiceName"]
            state = await readers.tasks(self.clients.ecs, cluster, service)
            scaling = await readers.scaling(self.clients.autoscaling, cluster, service)
            lines += _starting(program.name, state, scaling)
        arn = self.service_outputs["LoadBalancerArn"]
        return [*lines, *_reserving(await readers.reservation(self.clients.elbv2, arn))]


@asynccontextmanager
async def opened(connection: Connection, stack: str, report: Report) -> AsyncIterator[Pipeline]:
    """Read what is deployed; raises StackError where there is no pipeline."""
    async with clients.opened(connection) as open_clients:
        stacks = Stacks(open_clients.cloudformation, report)
        pipeline = await stacks.find(stack_name(stack, PIPELINE))
        if pipeline is None:
            raise missing(stack)
        services = await stacks.find(stack_name(stack, SERVICE))
        table = await readers.table(open_clients.dynamodb, pipeline.outputs["TableName"])
        yield Pipeline(
            stack=stack,
            clients=open_clients,
            stacks=stacks,
            outputs=pipeline.outputs,
            service_outputs={} if services is None else services.outputs,
            deployed=Deployed(
                table=table,
                pipeline=pipeline.parameters,
                services={} if services is None else services.parameters,
            ),
        )


async def until_there(
    pipeline: Pipeline, needs: Needs, report: Report, poll_s: float = _POLL_S
) -> None:
    """Wait until nothing is missing, and report whenever what is missing changes."""
    said: Sequence[str] = ()
    while True:
        try:
            lines = await pipeline.missing(needs)
        except Transient as error:
            lines = (f"an answer of {error.service} ({error.code})",)
        if not lines:
            return
        if lines != said:
            report(f"waiting for {'; '.join(lines)}")
            said = lines
        await anyio.sleep(poll_s)


def _cold(table: TableState, needs: Needs) -> Sequence[str]:
    return [
        f"{wanted.what} ({wanted.has(table):,} of {wanted.needs(needs):,} units/s)"
        for wanted in WARMTH
        if wanted.is_warming(table) or wanted.has(table) < wanted.needs(needs)
    ]


def _starting(name: str, state: Tasks, scaling: Scaling | None) -> Sequence[str]:
    wanted = state.wanted if scaling is None else scaling.minimum
    if state.running >= wanted:
        return ()
    return (f"{name} tasks ({state.running:,} of {wanted:,} running)",)


def _reserving(state: Reservation) -> Sequence[str]:
    failed = [zone for zone in state.pending if zone.startswith("failed")]
    if failed:
        raise StackError(f"the load balancer's reservation was not provisioned: {failed[0]}")
    return ("the load balancer's reservation",) if state.pending else ()


async def warmer(connection: Connection, stack: str, needs: Needs) -> Sequence[Change]:
    """What is to be raised for an event; raises StackError where there is no pipeline."""
    async with opened(connection, stack, _silent) as pipeline:
        return changes.warmer(pipeline.deployed, needs, datetime.now(UTC))


async def warm(
    connection: Connection,
    stack: str,
    wanted: Sequence[Change],
    needs: Needs,
    within_s: float,
    report: Report,
) -> Sequence[str]:
    """Make these changes and wait for them; returns what is missing when time is up."""
    async with opened(connection, stack, report) as pipeline:
        await pipeline.apply(wanted)
        with anyio.move_on_after(within_s):
            await until_there(pipeline, needs, report)
            return ()
        return await pipeline.missing(needs)


async def cooler(
    connection: Connection, stack: str, worker_tasks: int, ingest_tasks: int
) -> Sequence[Change]:
    """What is to be lowered after an event; raises StackError where there is no pipeline."""
    async with opened(connection, stack, _silent) as pipeline:
        return changes.cooler(pipeline.deployed, worker_tasks, ingest_tasks, datetime.now(UTC))


async def cool(
    connection: Connection, stack: str, wanted: Sequence[Change], report: Report
) -> None:
    """Make these changes, and see to it that no reservation is left."""
    async with opened(connection, stack, report) as pipeline:
        await pipeline.apply(wanted)
        if any(change.parameter == changes.UNITS for change in wanted):
            await pipeline.release()


def _silent(_line: str) -> None:
    """Report nothing: a look changes nothing."""
