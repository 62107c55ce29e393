"""What goes wrong on the local machine, each in one sentence that a person can act on."""

from collections.abc import Iterator
from contextlib import contextmanager


class LocalError(Exception):
    """The local stack cannot run; the text says what is missing or what was refused."""


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise the one error of a task group as itself, so that callers can catch it by its type."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


def leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    """The errors of a group and of the groups within it."""
    found: list[Exception] = []
    for error in group.exceptions:
        found.extend(leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
