"""CloudFormation stacks: made or changed from a template, read, and deleted, each to its end."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import anyio

from aws.client import Client
from aws.errors import Rejected

_POLL_S: Final = 3.0
_CAPABILITIES: Final = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
_COMPLETE: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})
_DELETED: Final = "DELETE_COMPLETE"

Report = Callable[[str], None]
"""Takes one line for a person to read."""


class StackError(Exception):
    """A stack could not be made, changed or deleted; the text says why."""


def missing(name: str) -> StackError:
    """The error for a stack that is not deployed, or not where it was looked for."""
    return StackError(
        f"there is no stack {name} in this account and region: is AWS_REGION right? "
        "`participation deploy` makes one"
    )


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation describes it."""

    id: str
    status: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]


class Stacks:
    """The stacks of one account and region."""

    def __init__(self, client: Client, report: Report, poll_s: float = _POLL_S) -> None:
        self._client = client
        self._report = report
        self._poll_s = poll_s

    async def find(self, name: str) -> Stack | None:
        """Describe a stack; None where there is none."""
        stack = await self._describe(name)
        return None if stack is None or stack.status == _DELETED else stack

    async def parameters_of(self, body: str) -> frozenset[str]:
        """Name the parameters that a template takes."""
        answer = await self._client.call("ValidateTemplate", TemplateBody=body)
        return frozenset(p["ParameterKey"] for p in answer.get("Parameters", ()))

    async def apply(self, name: str, body: str, parameters: Mapping[str, str]) -> Mapping[str, str]:
        """Make the stack or bring it up to date, and return its outputs.

        A parameter that is not given keeps the value it has. Raises StackError.
        """
        before = await self.find(name)
        request: dict[str, Any] = {
            "StackName": name,
            "TemplateBody": body,
            "Capabilities": _CAPABILITIES,
            "Parameters": _given(parameters),
        }
        if before is not None:
            kept = await self.parameters_of(body) & before.parameters.keys() - parameters.keys()
            request["Parameters"] += _kept(kept)
            return await self._update(before, request)
        began = monotonic()
        self._report(f"{name}: creating")
        answer = await self._client.call(
            # Else a failed try would leave table and bucket behind, in the next one's way.
            "CreateStack",
            **request,
            OnFailure="DELETE",
            RetainExceptOnCreate=True,
        )
        return await self._completed(name, answer["StackId"], began)

    async def change(self, name: str, parameters: Mapping[str, str]) -> Mapping[str, str]:
        """Change parameters of a stack and leave its template as it is; returns its outputs.

        Raises StackError, also where there is no such stack, or its template is too old for them.
        """
        before = await self.find(name)
        if before is None:
            raise missing(name)
        if unknown := parameters.keys() - before.parameters.keys():
            raise StackError(
                f"{name} was deployed from a template without {', '.join(sorted(unknown))}: "
                "run `participation deploy` first"
            )
        request: dict[str, Any] = {
            "StackName": name,
            "UsePreviousTemplate": True,
            "Capabilities": _CAPABILITIES,
            "Parameters": _given(parameters) + _kept(before.parameters.keys() - parameters.keys()),
        }
        return await self._update(before, request)

    async def _update(self, before: Stack, request: Mapping[str, Any]) -> Mapping[str, str]:
        name, began = request["StackName"], monotonic()
        try:
            answer = await self._client.call("UpdateStack", **request)
        except Rejected as error:
            if "No updates are to be performed" in error.message:
                self._report(f"{name}: up to date")
                return before.outputs
            raise
        self._report(f"{name}: updating")
        return await self._completed(name, answer["StackId"], began)

    async def _completed(self, name: str, stack_id: str, began: float) -> Mapping[str, str]:
        """Wait for the end, and return the outputs; raises StackError where it failed."""
        after = await self._when_done(stack_id)
        if after.status not in _COMPLETE:
            raise StackError(f"{name} ended as {after.status}: {await self._reasons(stack_id)}")
        self._report(f"{name}: {after.status} after {monotonic() - began:.0f} s")
        return after.outputs

    async def delete(self, name: str) -> bool:
        """Delete a stack, and wait until it is gone; false where there was none."""
        stack = await self.find(name)
        if stack is None:
            return False
        self._report(f"{name}: deleting")
        await self._client.call("DeleteStack", StackName=name)
        after = await self._when_done(stack.id)
        if after.status != _DELETED:
            raise StackError(f"{name} ended as {after.status}: {await self._reasons(stack.id)}")
        self._report(f"{name}: deleted")
        return True

    async def _when_done(self, stack_id: str) -> Stack:
        """Wait for the end of what is under way; by its id a stack is found after its deletion."""
        while True:
            stack = await self._describe(stack_id)
            if stack is None:
                raise StackError(f"{stack_id} is gone")
            if not stack.status.endswith("_IN_PROGRESS"):
                return stack
            await anyio.sleep(self._poll_s)

    async def _describe(self, name_or_id: str) -> Stack | None:
        try:
            answer = await self._client.call("DescribeStacks", StackName=name_or_id)
        except Rejected as error:
            if "does not exist" in error.message:
                return None
            raise
        document = answer["Stacks"][0]
        return Stack(
            id=document["StackId"],
            status=document["StackStatus"],
            outputs={o["OutputKey"]: o["OutputValue"] for o in document.get("Outputs", ())},
            parameters={
                p["ParameterKey"]: p["ParameterValue"] for p in document.get("Parameters", ())
            },
        )

    async def _reasons(self, stack_id: str) -> str:
        """What failed, the first cause first; CloudFormation lists the newest event first."""
        answer = await self._client.call("DescribeStackEvents", StackName=stack_id)
        reasons = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
            for event in answer["StackEvents"]
            if event["ResourceStatus"].endswith("_FAILED")
        ]
        return "; ".join(reversed(reasons)) or "no resource names a reason"


def _kept(names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(names)]


def _given(parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"ParameterKey": key, "ParameterValue": value} for key, value in sorted(parameters.items())
    ]
