"""How a pipeline is right now: its queues, tasks, alarms, bus and rule, read concurrently."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, TypeVar

import anyio

from aws import permissions
from aws.errors import AwsError
from operations.account import metrics, readers
from operations.account.clients import Clients
from operations.account.facts import Alarm, QueueDepth, Route, Scaling, Tasks
from operations.deployment import stack_name
from operations.preflight.capacity import PROGRAMS
from operations.stacks import Stacks, missing
from operations.templates import PIPELINE, SERVICE
from schema.names import RULE_NAME

_WITHIN_S: Final = 15.0
"""For all calls of one part."""

T = TypeVar("T")
Known: TypeAlias = T | str
"""What was read, or the sentence that says why it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is looked at."""

    queues: Mapping[str, str]
    """URLs by name: `requests`, `deadLetters`, `lostEvents`, `undeliveredEvents`."""
    bus_name: str
    rule_name: str
    stacks: tuple[str, ...] = ()
    """Whose alarms are shown; none: it is not known which stacks there are."""
    cluster: str = ""
    services: Mapping[str, str] = field(default_factory=dict)
    """The names of the cluster's services, by program; empty where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """A service's tasks, and between which numbers they scale; None where they do not."""

    tasks: Tasks
    scaling: Scaling | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How it is; a sentence stands for what could not be read."""

    queues: Mapping[str, Known[QueueDepth]]
    oldest_ages_s: Known[Mapping[str, float]]
    """By queue, as CloudWatch saw them up to some minutes ago; a queue without messages is out."""
    services: Known[Mapping[str, ServiceState]]
    """By program."""
    alarms: Known[Sequence[Alarm]]
    route: Known[Route]

    @property
    def is_known(self) -> bool:
        """Whether anything could be read."""
        parts = (*self.queues.values(), self.services, self.alarms, self.route)
        return not all(isinstance(part, str) for part in parts)


NO_SERVICES: Final = "no services of ECS are known here"
NO_STACK: Final = "not known without --stack"


async def place_of(opened: Clients, stack: str) -> Place:
    """What a deployed pipeline consists of; raises StackError where there is none."""
    stacks = Stacks(opened.cloudformation, lambda _line: None)
    pipeline = await stacks.find(stack_name(stack, PIPELINE))
    if pipeline is None:
        raise missing(stack)
    service_stack = stack_name(stack, SERVICE)
    services = await stacks.find(service_stack)
    outputs = pipeline.outputs
    place = Place(
        queues={
            "requests": outputs["QueueUrl"],
            "deadLetters": outputs["DlqUrl"],
            "lostEvents": outputs["LostEventsQueueUrl"],
            "undeliveredEvents": outputs["RuleDlqUrl"],
        },
        bus_name=outputs["EventBusName"],
        rule_name=outputs["RuleName"],
        stacks=(stack,),
    )
    if services is None:
        return place
    return replace(
        place,
        stacks=(stack, service_stack),
        cluster=services.outputs["ClusterName"],
        services={p.name: services.outputs[f"{p.parameter}ServiceName"] for p in PROGRAMS},
    )


def place_without_stack(queues: Mapping[str, str], bus_name: str) -> Place:
    """What the programs' settings name; where it runs is not known."""
    return Place(queues=queues, bus_name=bus_name, rule_name=RULE_NAME)


async def read(opened: Clients, place: Place) -> Status:
    """Read everything concurrently; what fails is a sentence, and hides nothing else."""
    depths: dict[str, Known[QueueDepth]] = {}
    ages: Known[Mapping[str, float]] = ""
    services: Known[Mapping[str, ServiceState]] = NO_SERVICES
    alarms: Known[Sequence[Alarm]] = NO_STACK
    route: Known[Route] = ""

    async def read_depth(name: str, url: str) -> None:
        depths[name] = await _known(readers.depth(opened.sqs, url))

    async def read_ages() -> None:
        nonlocal ages
        ages = await _known(_ages(opened, place))

    async def read_services() -> None:
        nonlocal services
        if place.services:
            services = await _known(_services(opened, place.cluster, place.services))

    async def read_alarms() -> None:
        nonlocal alarms
        if place.stacks:
            looked = readers.alarms(opened.cloudformation, opened.cloudwatch, *place.stacks)
            alarms = await _known(looked)

    async def read_route() -> None:
        nonlocal route
        route = await _known(readers.route(opened.events, place.bus_name, place.rule_name))

    async with anyio.create_task_group() as tasks:
        for name, url in place.queues.items():
            tasks.start_soon(read_depth, name, url)
        for part in (read_ages, read_services, read_alarms, read_route):
            tasks.start_soon(part)
    return Status(
        queues={name: depths[name] for name in place.queues},
        oldest_ages_s=ages,
        services=services,
        alarms=alarms,
        route=route,
    )


async def _known(look: Awaitable[T]) -> Known[T]:
    try:
        with anyio.fail_after(_WITHIN_S):
            return await look
    except AwsError as error:
        return permissions.sentence(error)
    except (LookupError, ValueError) as error:
        return f"an answer is not as documented: {error!r}"
    except TimeoutError:
        return f"no answer within {_WITHIN_S:g} s"


async def _ages(opened: Clients, place: Place) -> Mapping[str, float]:
    names = {name: url.rpartition("/")[2] for name, url in place.queues.items()}
    found = await metrics.oldest_ages(opened.cloudwatch, list(names.values()))
    return {name: found[queue] for name, queue in names.items() if queue in found}


async def _services(
    opened: Clients, cluster: str, services: Mapping[str, str]
) -> Mapping[str, ServiceState]:
    return {
        program: ServiceState(
            tasks=await readers.tasks(opened.ecs, cluster, service),
            scaling=await readers.scaling(opened.autoscaling, cluster, service),
        )
        for program, service in services.items()
    }
