"""Events that are lost: the reasons, and who learns of them."""

from typing import Final, Protocol

from aws.errors import Fatal, Rejected, Transient


class LossReason:
    """Why an event was lost; the values of `publish_failures_total{reason}`."""

    CONNECTION: Final = "connection"
    TIMEOUT: Final = "timeout"
    THROTTLED: Final = "throttled"
    SERVER_ERROR: Final = "server_error"
    REJECTED: Final = "rejected"
    DENIED: Final = "denied"
    OVERSIZE: Final = "oversize"
    UNENCODABLE: Final = "unencodable"
    BUS_MISSING: Final = "bus_missing"
    CLOSED: Final = "closed"
    ALL: Final = (
        CONNECTION,
        TIMEOUT,
        THROTTLED,
        SERVER_ERROR,
        REJECTED,
        DENIED,
        OVERSIZE,
        UNENCODABLE,
        BUS_MISSING,
        CLOSED,
    )


class PublishObserver(Protocol):
    """Learns of every event exactly once: published, or lost for a reason."""

    def published(self, count: int) -> None:
        """Take note of events that the bus accepted."""
        ...

    def lost(self, reason: str, count: int) -> None:
        """Take note of events that were not published."""
        ...

    def kept(self, count: int) -> None:
        """Take note of lost events that are on the queue of lost events."""
        ...

    def not_kept(self, count: int) -> None:
        """Take note of lost events that should be there, and may not be."""
        ...


def reason_of(error: Exception | str) -> str:
    """The reason of a loss, where it is not a reason already."""
    match error:
        case str():
            return error
        case Fatal():
            return LossReason.DENIED
        case Rejected():
            return LossReason.REJECTED
        case Transient() if error.is_throttle:
            return LossReason.THROTTLED
        case Transient() if "Timeout" in error.code:
            return LossReason.TIMEOUT
        case Transient() if not error.response:
            return LossReason.CONNECTION
        case _:
            return LossReason.SERVER_ERROR
