"""Makes all looks at a deployment concurrently: one that fails hides no other."""

from collections.abc import Mapping, Sequence
from typing import Final

import anyio

from aws import permissions
from aws.client import Connection
from aws.errors import AwsError
from operations.account import clients
from operations.deployment import Deployment, stack_name
from operations.needs import Needs
from operations.preflight.capacity import Commands
from operations.preflight.findings import Colour, Finding
from operations.preflight.looks import Look, Looks
from operations.stacks import Stacks
from operations.templates import PIPELINE, SERVICE

_WITHIN_S: Final = 30.0
"""For all calls of one look."""
_MISSING: Final = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "ClusterNotFoundException",
        "LoadBalancerNotFound",
        "MISSING",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
    }
)
"""The codes of what does not exist; after any other error it is not known how it is."""


async def preflight(
    connection: Connection,
    stack: str,
    needs: Needs,
    *,
    token: str | None = None,
    ingest_url: str | None = None,
) -> Sequence[Finding]:
    """Compare a deployment with what an event needs.

    `token` is a user's, to try. Raises StackError where the pipeline is not deployed, AwsError
    where that cannot be read.
    """
    async with clients.opened(connection) as opened:
        deployed = Deployment(stack, Stacks(opened.cloudformation, _silent), _silent)
        pipeline = await deployed.outputs(PIPELINE)
        service_stack = stack_name(stack, SERVICE)
        services = await deployed.stacks.find(service_stack)
        looks = Looks(
            clients=opened,
            needs=needs,
            commands=Commands(stack=stack, region=connection.region, load=_options(needs)),
            pipeline=pipeline,
            services={} if services is None else services.outputs,
            service_stack=service_stack,
            token=token,
            ingest_url=ingest_url,
        )
        return await made(looks.all())


async def made(looks: Mapping[str, Look], within_s: float = _WITHIN_S) -> Sequence[Finding]:
    """Make all looks; the findings are in the looks' order."""
    found: dict[str, Sequence[Finding]] = {}

    async def make(name: str, look: Look) -> None:
        found[name] = await _made(name, look, within_s)

    async with anyio.create_task_group() as tasks:
        for name, look in looks.items():
            tasks.start_soon(make, name, look)
    return [finding for name in looks for finding in found[name]]


async def _made(name: str, look: Look, within_s: float) -> Sequence[Finding]:
    try:
        with anyio.fail_after(within_s):
            return list(await look())
    except TimeoutError:
        return [_unknown(name, f"no answer within {within_s:g} s", "look again")]
    except (LookupError, ValueError) as error:
        return [_unknown(name, f"an answer is not as documented: {error!r}", "look again")]
    except AwsError as error:
        refused = permissions.refusal(error)
        if refused is not None:
            return [_unknown(name, refused.what, refused.remedy)]
        if error.code in _MISSING:
            return [Finding(check=name, colour=Colour.RED, found=error.message or str(error))]
        return [_unknown(name, permissions.sentence(error), "look again")]


def _unknown(name: str, why: str, change: str) -> Finding:
    return Finding(check=name, colour=Colour.YELLOW, found=f"not known: {why}", change=change)


def _options(needs: Needs) -> str:
    rate, seconds = (
        f"{value:.6f}".rstrip("0").rstrip(".") for value in (needs.rate, needs.seconds)
    )
    return f"--rate {rate} --seconds {seconds} --seats {needs.seats}"


def _silent(_line: str) -> None:
    """Report nothing: a look changes nothing."""
