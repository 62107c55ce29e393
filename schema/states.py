"""The states a request passes through, the codes that say why, and which steps are legal."""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where a request stands (domain §4)."""

    RECEIVED = "RECEIVED"
    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    """Left by older writers; read as undecided, never written."""
    SUCCEEDED = "SUCCEEDED"
    REJECTED = "REJECTED"
    FAILED_FINAL = "FAILED_FINAL"

    @property
    def is_final(self) -> bool:
        """Whether the request is decided; a final status never changes."""
        return self in FINAL_STATUSES


FINAL_STATUSES: Final = frozenset({Status.SUCCEEDED, Status.REJECTED, Status.FAILED_FINAL})

_NEXT: Final[dict[Status, frozenset[Status]]] = {
    # The worker may outrun ingest: its commit then makes both steps in one write (domain §6).
    Status.RECEIVED: FINAL_STATUSES | {Status.QUEUED},
    Status.QUEUED: FINAL_STATUSES,
    Status.PROCESSING: FINAL_STATUSES,
    Status.SUCCEEDED: frozenset(),
    Status.REJECTED: frozenset(),
    Status.FAILED_FINAL: frozenset(),
}


def may_become(before: Status, after: Status) -> bool:
    """Whether a request may go from one status to the other (domain §4)."""
    return after in _NEXT[before]


class ResultCode(StrEnum):
    """Why a request ended as it did (domain §6)."""

    SUCCESS = "SUCCESS"
    REJECTED_CAPACITY = "REJECTED_CAPACITY"
    FAILED_WORKER = "FAILED_WORKER"
    FAILED_VALIDATION = "FAILED_VALIDATION"
    FAILED_EVENT_NOT_FOUND = "FAILED_EVENT_NOT_FOUND"


class EventType(StrEnum):
    """What kind of event people take part in; each has one decision function in the worker."""

    FIRST_COME = "FIRST_COME"
    LOTTERY = "LOTTERY"


class FailureClass(StrEnum):
    """Whether trying again could have helped (domain §6)."""

    RETRYABLE = "RETRYABLE"
    NON_RETRYABLE = "NON_RETRYABLE"
