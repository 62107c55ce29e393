"""What must exist before a program starts: all that is wrong is reported together."""

from collections.abc import Awaitable, Callable, Mapping

import anyio

from aws.errors import AwsError

Check = Callable[[], Awaitable[object]]
"""Returns if the thing exists; raises AwsError."""


async def failures(checks: Mapping[tuple[str, str], Check]) -> list[str]:
    """Make all checks concurrently; one line for each that failed, in order.

    A check's key is the variable that names the thing, and its value.
    """
    wrong: list[str] = []

    async def check(variable: str, value: str, is_there: Check) -> None:
        try:
            await is_there()
        except AwsError as error:
            wrong.append(
                f"{variable}={value}: {error.operation} failed with {error.code}: {error.message}"
            )

    async with anyio.create_task_group() as tasks:
        for (variable, value), is_there in checks.items():
            tasks.start_soon(check, variable, value, is_there)
    return sorted(wrong)
