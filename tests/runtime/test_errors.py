"""Seeing through the groups that task groups raise."""

import anyio
import pytest

from runtime.errors import leaves, unwrapped


async def fail(error: Exception) -> None:
    raise error


async def fail_together(*errors: Exception) -> None:
    with unwrapped():
        async with anyio.create_task_group() as tasks:
            for error in errors:
                tasks.start_soon(fail, error)


async def test_a_task_groups_only_error_is_raised_as_itself() -> None:
    error = ValueError("only")
    with pytest.raises(ValueError, match="only") as caught:
        await fail_together(error)

    assert caught.value is error


async def test_several_errors_stay_a_group() -> None:
    with pytest.raises(ExceptionGroup):
        await fail_together(ValueError(), KeyError())


def test_leaves_are_found_at_every_depth() -> None:
    one, two, three = ValueError(), KeyError(), OSError()
    group = ExceptionGroup("", [one, ExceptionGroup("", [two, ExceptionGroup("", [three])])])

    assert leaves(group) == [one, two, three]
    assert leaves(one) == [one]
