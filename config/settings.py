"""The settings of each program, read from the environment; all errors are reported together."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from config import limits, urls

_MIN_SECRET_BYTES: Final = 32
"""As long as the hash (RFC 7518 §3.2)."""
_MIN_SECRET_CHARACTERS: Final = 8
"""Different ones. A random secret of 32 bytes has more, in hexadecimal digits as well."""


def _hard_to_guess(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()
    if len(text.encode()) < _MIN_SECRET_BYTES:
        raise ValueError(f"must be at least {_MIN_SECRET_BYTES} bytes long, blanks around it aside")
    if len(set(text)) < _MIN_SECRET_CHARACTERS:
        raise ValueError(f"must have at least {_MIN_SECRET_CHARACTERS} different characters")
    return secret


Port = Annotated[int, Field(ge=0, le=65_535)]
HmacSecret = Annotated[SecretStr, AfterValidator(_hard_to_guess)]
Url = Annotated[str, AfterValidator(urls.without_credentials)]
Origins = Annotated[str, AfterValidator(urls.origins)]
KeySetUrl = Annotated[Url, AfterValidator(urls.confidential)]


class SettingsError(Exception):
    """The environment holds wrong values; the text names each one and what is allowed."""


class AwsSettings(BaseSettings):
    """What every command needs to find AWS and the table, and to log."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore")

    aws_region: str = Field(description="AWS region, such as ap-northeast-2", min_length=1)
    aws_endpoint_url: Url | None = Field(
        None, description="endpoint to call instead of AWS's own, such as the embedded AWS's"
    )
    aws_client: Literal["lean", "aioboto3"] = Field(
        "lean",
        description="client of SQS, DynamoDB and EventBridge: our own lean one, or aioboto3",
    )
    environment: str = Field(
        "dev", description="value of the analytics events' env field", min_length=1
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level that is logged"
    )
    log_format: Literal["json", "console"] = Field(
        default_factory=lambda: "console" if sys.stderr and sys.stderr.isatty() else "json",
        description="format of the log lines; default: json, on a terminal console",
    )
    table_name: str = Field("AsyncEventTable", description="DynamoDB table", min_length=3)

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _in_lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value


class CommonSettings(AwsSettings):
    """What the worker and ingest share: the queues and the bus."""

    queue_url: Url = Field(description="URL of the main queue", min_length=1)
    dlq_url: Url = Field(description="URL of the dead-letter queue", min_length=1)
    event_bus_name: str = Field("default", description="EventBridge bus", min_length=1)
    events_endpoint_url: Url | None = Field(
        None, description="endpoint for EventBridge alone (an interface endpoint)"
    )
    publish_concurrency: int = Field(32, ge=1, le=256, description="concurrent PutEvents calls")
    publish_linger_ms: int = Field(
        20, ge=0, le=10_000, description="how long an event waits for others to share its call"
    )
    publish_timeout_s: float = Field(
        5, gt=0, le=300, description="how long publishing may delay an acknowledgement"
    )
    publish_max_attempts: int = Field(
        3, ge=1, le=10, description="attempts to publish an event; throttled ones do not count"
    )
    lost_events_queue_url: Url | None = Field(
        None, description="URL of the queue that keeps events which could not be published"
    )
    bus_check_interval_s: float = Field(
        30,
        gt=0,
        le=3_600,
        description="how often to check that the bus exists: PutEvents to a missing one succeeds",
    )


def drain_reserve_s(shutdown_timeout_s: float) -> float:
    """The part of SHUTDOWN_TIMEOUT_S that is kept for handing back what a drain left over."""
    return min(3.0, shutdown_timeout_s / 5)


class WorkerSettings(CommonSettings):
    """The worker's settings."""

    pollers: int = Field(16, ge=1, le=64, description="concurrent long polls of the main queue")
    dlq_pollers: int = Field(
        0, ge=0, le=16, description="concurrent long polls of the dead-letter queue; 0: none"
    )
    max_in_flight: int = Field(
        1_000,
        ge=1,
        le=limits.SQS_IN_FLIGHT_MESSAGES,
        description="messages received and not yet settled",
    )
    processors: int = Field(
        20, ge=1, le=64, description="the main queue's batches processed concurrently"
    )
    batch_max_messages: int = Field(
        50, ge=1, le=limits.SEATS_PER_TRANSACTION, description="messages decided together"
    )
    batch_linger_ms: int = Field(
        20, ge=0, le=10_000, description="how long a message waits for others to share its batch"
    )
    receive_wait_s: int = Field(
        10, ge=1, le=limits.SQS_WAIT_SECONDS, description="length of a long poll"
    )
    visibility_timeout_s: int = Field(
        60,
        ge=1,
        le=limits.SQS_VISIBILITY_TIMEOUT_SECONDS,
        description="lease on a received message; extended while it is worked on",
    )
    delete_linger_ms: int = Field(
        20, ge=0, le=10_000, description="how long a delete waits for others to share its call"
    )
    retry_backoff_base_s: float = Field(
        2, gt=0, le=3_600, description="first wait before a failed message is tried again"
    )
    retry_backoff_max_s: float = Field(
        60, gt=0, le=43_200, description="longest wait before a failed message is tried again"
    )
    shutdown_timeout_s: float = Field(
        25,
        gt=0,
        le=limits.ECS_STOP_TIMEOUT_SECONDS,
        description="time to drain after SIGTERM; keep it below the container's stop timeout",
    )
    http_port: Port = Field(9000, description="port of /metrics, /healthz and /readyz; 0: any")
    http_host: str = Field("0.0.0.0", description="address of the HTTP port")  # noqa: S104 - a container is scraped from outside
    worker_id: str | None = Field(
        None, description="name in the events' meta; default: the ECS task id, else the host name"
    )

    @field_validator("retry_backoff_max_s")
    @classmethod
    def _not_below_the_base(cls, value: float, info: ValidationInfo) -> float:
        base = info.data.get("retry_backoff_base_s")
        if base is not None and value < base:
            raise ValueError(f"must not be below RETRY_BACKOFF_BASE_S ({base:g})")
        return value

    @field_validator("shutdown_timeout_s")
    @classmethod
    def _longer_than_a_poll(cls, value: float, info: ValidationInfo) -> float:
        wait = info.data.get("receive_wait_s")
        if wait is not None and value - drain_reserve_s(value) <= wait:
            raise ValueError(
                f"minus {drain_reserve_s(value):g} s for handing back, it must exceed "
                f"RECEIVE_WAIT_S ({wait}): a poll under way is always finished"
            )
        return value


class TokenSettings(BaseSettings):
    """What a development token is made with; it must match the ingest service's settings."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore")

    jwt_secret: HmacSecret = Field(description="secret of HS256 tokens")
    jwt_audience: str | None = Field(None, description="audience that tokens must name")
    jwt_issuer: str | None = Field(None, description="issuer that tokens must name")


class IngestSettings(CommonSettings):
    """The ingest service's settings."""

    http_port: Port = Field(8080, description="port of the API; 0: any")
    http_host: str = Field("0.0.0.0", description="address of the HTTP port")  # noqa: S104 - a container is called from outside
    jwt_secret: HmacSecret | None = Field(
        None,
        description="secret of HS256 tokens, of 32 bytes or more; this or JWKS_URL is required",
    )
    jwks_url: KeySetUrl | None = Field(
        None, description="https URL of the key set of RS256 and ES256 tokens"
    )
    jwt_audience: str | None = Field(None, description="audience that tokens must name")
    jwt_issuer: str | None = Field(None, description="issuer that tokens must name")
    cors_origins: Origins | None = Field(
        None,
        description="origins whose pages may call the API, separated by commas, or *; none: no "
        "other page may",
    )
    publish_requested_events: bool = Field(
        False, description="publish ParticipationRequested events as well"
    )
    event_cache_ttl_s: float = Field(
        5, ge=0, le=3_600, description="how long an event's configuration is remembered"
    )
    coalesce_linger_ms: int = Field(
        3, ge=0, le=1_000, description="how long a request waits for others to share its calls"
    )
    max_pending_requests: int = Field(
        5_000,
        ge=1,
        le=1_000_000,
        description="requests that may wait simultaneously; beyond that, 503",
    )
    max_pending_per_user: int = Field(
        16,
        ge=1,
        le=1_000_000,
        description="requests of one user that may wait simultaneously; beyond that, 429",
    )
    max_waiting_requests: int = Field(
        5_000,
        ge=0,
        le=1_000_000,
        description="requests that may wait for a decision (?wait=), at most half of "
        "MAX_CONNECTIONS; further ones are answered immediately",
    )
    max_connections: int = Field(
        10_000, ge=1, le=1_000_000, description="open connections; further ones are answered 503"
    )
    max_head_bytes: int = Field(
        16_384,
        ge=4_096,
        le=1_048_576,
        description="request line and headers of a request; beyond that, 431",
    )
    head_timeout_s: float = Field(
        10, gt=0, le=300, description="time for a request's headers to arrive; beyond that, 408"
    )
    keep_alive_s: float = Field(
        75,
        gt=0,
        le=4_500,
        description="how long an idle connection is kept; longer than the load balancer keeps it",
    )
    unread_timeout_s: float = Field(
        10, gt=0, le=300, description="how long a client may leave answers unread"
    )
    request_ttl_days: int = Field(90, ge=1, le=3_650, description="how long requests are kept")
    shutdown_timeout_s: float = Field(
        25,
        gt=0,
        le=limits.ECS_STOP_TIMEOUT_SECONDS,
        description="time to answer after SIGTERM; keep it below the container's stop timeout",
    )

    @model_validator(mode="after")
    def _one_way_to_check_tokens(self) -> Self:
        if (self.jwt_secret is None) == (self.jwks_url is None):
            raise ValueError("set exactly one of JWT_SECRET and JWKS_URL: they verify who clicks")
        return self


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S], **overrides: Any) -> S:
    """Read settings from the environment; `overrides` (by field name) take precedence.

    Raises SettingsError with one line for each wrong value.
    """
    try:
        return settings(**overrides)
    except ValidationError as error:
        lines = [_line(settings, detail) for detail in error.errors(include_url=False)]
        raise SettingsError(
            "wrong settings:\n" + "\n".join(f"  {line}" for line in lines)
        ) from None


def _line(settings: type[BaseSettings], detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    name = str(detail["loc"][0])
    field = settings.model_fields.get(name)
    about = f" ({field.description})" if field is not None and field.description else ""
    if detail["type"] == "missing":
        return f"{name.upper()} is not set{about}"
    secret = field is not None and "SecretStr" in str(field.annotation)
    shown = urls.MASK if secret else repr(_shown(name, detail["input"]))
    return f"{name.upper()}={shown}: {message}{about}"


def _shown(name: str, value: object) -> object:
    """A value as it may be printed: without what a URL keeps secret, whatever is wrong with it."""
    if isinstance(value, str) and ("://" in value or name.endswith("_url")):
        return urls.masked(value)
    return value


def effective(settings: BaseSettings) -> Mapping[str, str | int | float | None]:
    """The values in force by variable name, secrets masked."""
    return {
        name.upper(): value
        if value is None or isinstance(value, int | float)
        else str(_shown(name, value))
        for name, value in settings
    }
