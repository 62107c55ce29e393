"""What is read of an account and a deployment, as values."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A service quota of the account in its region."""

    service: str
    """As Service Quotas names the service, such as `events`."""
    code: str
    name: str
    value: float
    is_adjustable: bool
    is_default: bool
    """Whether it was never raised: AWS's default, which may be more than a new account has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """What a Firehose stream takes a second by Direct PUT; None where CloudWatch knows no limit."""

    byte_rate: float | None
    record_rate: float | None
    request_rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """Units a second that a table or an index takes from the first second on."""

    write_units: int
    read_units: int
    is_warming: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """A table's warm throughput."""

    name: str
    parts: Mapping[str | None, Warmth]
    """By index; None is the table itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """The tasks of a service of ECS."""

    running: int
    wanted: int
    pending: int
    task_definition: str
    """The ARN of what they run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledMinimum:
    """A change of the least number of tasks that is yet to come."""

    schedule: str
    """`at(2026-01-04T08:30:00)` or `cron(…)`."""
    timezone: str
    minimum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Between which numbers of tasks a service scales."""

    minimum: int
    maximum: int
    scheduled: tuple[ScheduledMinimum, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The capacity that a load balancer keeps whatever its traffic is."""

    units: int
    """LCUs; 0: none is reserved."""
    pending: tuple[str, ...] = ()
    """Why it is not provisioned, for each availability zone where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A CloudWatch alarm."""

    name: str
    state: str
    """`OK`, `ALARM` or `INSUFFICIENT_DATA`."""
    reason: str
    recipients: tuple[str, ...]
    """Whom it notifies: the ARNs of its actions; none where its actions are off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """How much is on a queue, as far as SQS knows."""

    waiting: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """Everything that is not deleted."""
        return self.waiting + self.in_flight + self.delayed


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way of the events from the bus to the stream."""

    bus_name: str
    rule_name: str
    rule_state: str
    """`ENABLED` or `DISABLED`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSource:
    """What ingest's task definition checks tokens with."""

    has_secret: bool
    jwks_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTrial:
    """What became of a request to ingest, and of fetching its key set."""

    source: TokenSource
    has_token: bool
    """Whether the request had one."""
    key_set_error: str | None
    status: int | None
    """Ingest's HTTP status; None where it did not answer."""
    ingest_error: str | None
