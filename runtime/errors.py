"""Errors as task groups raise them: in groups, which callers want to see through."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise a task group's only error as itself, so that callers can catch it by its type."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


def leaves(error: Exception) -> list[Exception]:
    """The errors in a group and in the groups within it; an error alone is its own leaf."""
    if not isinstance(error, ExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in leaves(inner)]
