"""Each look at a deployment: what it reads, and which check judges that."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from config.quotas import NO_LIMITS, LimitError, Limits
from operations.account import metrics, quotas, readers, tokens
from operations.account.clients import Clients
from operations.account.facts import StreamLimits
from operations.needs import Needs
from operations.preflight import capacity, health
from operations.preflight.capacity import PROGRAMS, QUOTAS, Commands, Program
from operations.preflight.findings import Colour, Finding

Look = Callable[[], Awaitable[Iterable[Finding]]]
"""Raises AwsError where it cannot read what it is to judge."""

_FAILURES: Final = {
    "dead letters": ("DlqUrl", "participation dlq list"),
    "lost events": ("LostEventsQueueUrl", "participation lake republish"),
    "undelivered events": ("RuleDlqUrl", "docs/operations.md, RuleFailed"),
}
"""The queues of failures: the outputs that name them, and what empties them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """All looks at one deployment."""

    clients: Clients
    needs: Needs
    commands: Commands
    pipeline: Mapping[str, str]
    """The outputs of the pipeline's stack."""
    services: Mapping[str, str]
    """The outputs of the services' stack; empty where there is none."""
    service_stack: str
    token: str | None
    """A user's, to try; None where there is none."""
    ingest_url: str | None
    """None: the deployed load balancer's."""

    def all(self) -> Mapping[str, Look]:
        """The looks by name, in the order in which people read them."""
        looks: dict[str, Look] = {
            f"quotas of {service}": partial(self._quotas, service)
            for service in dict.fromkeys(wanted.service for wanted in QUOTAS)
        }
        looks |= {
            "stream": self._stream,
            "warm throughput": self._warmth,
            "messages in flight": self._in_flight,
        }
        if self.services:
            looks |= {f"{one.name} tasks": partial(self._tasks, one) for one in PROGRAMS}
            looks |= {"load balancer": self._load_balancer, "tokens": self._tokens}
        else:
            looks["services"] = self._no_services
        looks |= {"alarms": self._alarms, "requests waiting": self._waiting}
        looks |= {name: partial(self._empty, name, *how) for name, how in _FAILURES.items()}
        return looks | {"bus and rule": self._route, "clock": self._clock}

    async def _quotas(self, service: str) -> Iterable[Finding]:
        found = await quotas.of_service(self.clients.service_quotas, service)
        return capacity.quotas(service, found, self.needs, self.commands)

    async def _stream(self) -> Iterable[Finding]:
        limits = await metrics.stream_limits(self.clients.cloudwatch, self.pipeline["StreamName"])
        return capacity.stream(limits, _default_stream(self.commands.region), self.needs)

    async def _warmth(self) -> Iterable[Finding]:
        table = await readers.table(self.clients.dynamodb, self.pipeline["TableName"])
        return capacity.warmth(table, self.needs, self.commands)

    async def _in_flight(self) -> Iterable[Finding]:
        return (capacity.in_flight(self.needs),)

    async def _no_services(self) -> Iterable[Finding]:
        finding = Finding(
            check="services",
            colour=Colour.RED,
            found=f"there is no stack {self.service_stack}",
            needed="worker and ingest",
            change=f"participation deploy --stack {self.commands.stack} --image …",
        )
        return (finding,)

    async def _tasks(self, program: Program) -> Iterable[Finding]:
        where = self.services["ClusterName"], self.services[f"{program.parameter}ServiceName"]
        state = await readers.tasks(self.clients.ecs, *where)
        scaling = await readers.scaling(self.clients.autoscaling, *where)
        now = datetime.now(UTC)
        return capacity.tasks(program, state, scaling, self.needs, self.commands, now)

    async def _load_balancer(self) -> Iterable[Finding]:
        arn = self.services["LoadBalancerArn"]
        state = await readers.reservation(self.clients.elbv2, arn)
        return (capacity.load_balancer(state, self.needs, self.commands),)

    async def _tokens(self) -> Iterable[Finding]:
        ecs, services = self.clients.ecs, self.services
        state = await readers.tasks(ecs, services["ClusterName"], services["IngestServiceName"])
        source = await readers.token_source(ecs, state.task_definition, "ingest")
        url = self.ingest_url or services["IngestUrl"]
        return (health.tokens(await tokens.tried(source, url, self.token), self.commands),)

    async def _alarms(self) -> Iterable[Finding]:
        stacks = [self.commands.stack, *([self.service_stack] if self.services else ())]
        cloudformation, cloudwatch = self.clients.cloudformation, self.clients.cloudwatch
        found = await readers.alarms(cloudformation, cloudwatch, *stacks)
        return health.alarms(found, self.commands)

    async def _waiting(self) -> Iterable[Finding]:
        depth = await readers.depth(self.clients.sqs, self.pipeline["QueueUrl"])
        return (health.requests_waiting(depth, self.commands),)

    async def _empty(self, name: str, output: str, change: str) -> Iterable[Finding]:
        depth = await readers.depth(self.clients.sqs, self.pipeline[output])
        return (health.queue_empty(name, depth, change),)

    async def _route(self) -> Iterable[Finding]:
        names = self.pipeline["EventBusName"], self.pipeline["RuleName"]
        return (health.route(await readers.route(self.clients.events, *names), self.commands),)

    async def _clock(self) -> Iterable[Finding]:
        cloudformation, stack = self.clients.cloudformation, self.commands.stack
        return (health.clock(await readers.clock_ahead_s(cloudformation, stack)),)


def _default_stream(region: str) -> StreamLimits:
    """What AWS gives a stream in a region, where its quotas are known."""
    try:
        default = Limits.of(region)
    except LimitError:
        default = NO_LIMITS
    return StreamLimits(
        byte_rate=default.firehose_bytes_per_s,
        record_rate=default.firehose_records_per_s,
        request_rate=default.firehose_calls_per_s,
    )
