"""What commands that go through a queue do with the messages that they hold."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol, TypeVar

from aws.errors import AwsError
from aws.queue import Delivery, Queue, VisibilityChange
from config.limits import SQS_BATCH_ENTRIES


class Sized(Protocol):
    """What counts against the bytes of a call."""

    @property
    def size(self) -> int:
        """Bytes, as the service counts them."""
        ...


S = TypeVar("S", bound=Sized)


def that_fit_a_call(
    pairs: Sequence[tuple[Delivery, S]], max_bytes: int
) -> list[list[tuple[Delivery, S]]]:
    """Cut messages, and what is to be sent for each, into runs of at most a call's bytes."""
    runs: list[list[tuple[Delivery, S]]] = []
    size = 0
    for pair in pairs:
        if not runs or size + pair[1].size > max_bytes:
            runs.append([])
            size = 0
        runs[-1].append(pair)
        size += pair[1].size
    return runs


async def show_again(queue: Queue, receipt_handles: Collection[str], log: Any) -> None:
    """Make messages visible to others; those that cannot be are so after their timeout."""
    handles = list(receipt_handles)
    for start in range(0, len(handles), SQS_BATCH_ENTRIES):
        chunk = handles[start : start + SQS_BATCH_ENTRIES]
        try:
            await queue.change_visibility([VisibilityChange(handle, 0) for handle in chunk])
        except AwsError as error:
            log.warning("not_shown_again", messages=len(handles) - start, error=str(error))
            return
