"""Every key string of the table; no other module writes a prefix (domain §3)."""

import zlib
from hashlib import sha1
from typing import Final
from uuid import UUID

REQUEST_SORT_KEY: Final = "META"
CONFIG_SORT_KEY: Final = "CONFIG"
CAPACITY_SORT_KEY: Final = "CAPACITY"
EVENT_LIST_PK: Final = "EVENTS"
"""Partition key of the list of events: one item each, whose sort key is the event's id."""

MAX_TIME_MS: Final = 9_999_999_999_999
"""The latest time that has 13 digits (in the year 2286)."""

WINNER_SHARDS: Final = 64
"""An index partition takes 1,000 writes a second (AWS: partition throughput): 64,000 winners."""

_REQUESTS: Final = UUID("6f0f2f5e-2c0b-5a39-9a5c-5c6b1a3f7d10").bytes
"""The namespace of request ids."""
_VARIANTS: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The variant's two bits over a random digit (RFC 9562 §4.1)."""


def request_id(event_id: str, user_id: str) -> str:
    """The id of one user's request in one event: the same click always gets the same id.

    A UUID of version 5 (RFC 9562 §5.5), made at a third of the standard library's price. The length
    prefix keeps ("a", "b:c") apart from ("a:b", "c").
    """
    name = f"{len(event_id)}:{event_id}:{user_id}".encode()
    h = sha1(_REQUESTS + name, usedforsecurity=False).hexdigest()
    return f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{_VARIANTS[h[16]]}{h[17:20]}-{h[20:32]}"


def request_pk(request_id: str) -> str:
    """Partition key of a request item."""
    return f"REQ#{request_id}"


def event_pk(event_id: str) -> str:
    """Partition key of an event's configuration and capacity items."""
    return f"EVENT#{event_id}"


def user_index_pk(user_id: str) -> str:
    """GSI1 partition key: all requests of one user."""
    return f"USER#{user_id}"


def winners_index_pk(event_id: str, shard: int) -> str:
    """GSI2 partition key: one of the `WINNER_SHARDS` parts of those who won in an event."""
    return f"WON#{event_id}#{shard:02x}"


def winner_shard(request_id: str) -> int:
    """The part of its event's winners that a request belongs to, the same in every process."""
    return zlib.crc32(request_id.encode()) % WINNER_SHARDS


def former_event_index_pk(event_id: str) -> str:
    """GSI2 partition key of requests that the first version queued: all of an event."""
    return f"EVENT#{event_id}"


def user_index_sk(queued_at_ms: int, request_id: str) -> str:
    """GSI1 sort key: by queueing time, then by request id; raises ValueError as `_digits`."""
    return f"QAT#{_digits(queued_at_ms)}#REQ#{request_id}"


def winners_index_sk(finished_at_ms: int, request_id: str) -> str:
    """GSI2 sort key: by the time of the decision, then by id; raises ValueError as `_digits`."""
    return f"FIN#{_digits(finished_at_ms)}#REQ#{request_id}"


def _digits(time_ms: int) -> str:
    """A time that sorts as text.

    Raises ValueError where it has more than 13 digits or is negative: its key would sort in the
    wrong place.
    """
    if not 0 <= time_ms <= MAX_TIME_MS:
        raise ValueError(f"{time_ms} is not an epoch time in milliseconds")
    return f"{time_ms:013d}"
