"""Every key string of the table; no other module writes a prefix (domain §3)."""

from typing import Final
from uuid import UUID, uuid5

REQUEST_SORT_KEY: Final = "META"
CONFIG_SORT_KEY: Final = "CONFIG"
CAPACITY_SORT_KEY: Final = "CAPACITY"

MAX_TIME_MS: Final = 9_999_999_999_999
"""The latest time that has 13 digits (in the year 2286)."""

_REQUESTS: Final = UUID("6f0f2f5e-2c0b-5a39-9a5c-5c6b1a3f7d10")


def request_id(event_id: str, user_id: str) -> str:
    """The id of one user's request in one event: the same click always gets the same id.

    The length prefix keeps ("a", "b:c") apart from ("a:b", "c").
    """
    return str(uuid5(_REQUESTS, f"{len(event_id)}:{event_id}:{user_id}"))


def request_pk(request_id: str) -> str:
    """Partition key of a request item."""
    return f"REQ#{request_id}"


def event_pk(event_id: str) -> str:
    """Partition key of an event's configuration and capacity items."""
    return f"EVENT#{event_id}"


def user_index_pk(user_id: str) -> str:
    """GSI1 partition key: all requests of one user."""
    return f"USER#{user_id}"


def event_index_pk(event_id: str) -> str:
    """GSI2 partition key: all requests of one event."""
    return f"EVENT#{event_id}"


def index_sk(queued_at_ms: int, request_id: str) -> str:
    """Sort key of both indexes: by queueing time, then by request id.

    Raises ValueError where the time has more than 13 digits or is negative: its key would sort
    in the wrong place.
    """
    if not 0 <= queued_at_ms <= MAX_TIME_MS:
        raise ValueError(f"queuedAt {queued_at_ms} is not an epoch time in milliseconds")
    return f"QAT#{queued_at_ms:013d}#REQ#{request_id}"
