"""The settings: defaults, limits, and one message that lists every error."""

import sys
from collections.abc import Mapping
from io import StringIO

import pytest
from pydantic_settings import BaseSettings

from config import limits
from config.settings import (
    AwsSettings,
    CommonSettings,
    IngestSettings,
    TokenSettings,
    WorkerSettings,
    load,
)
from tests.config.support import REQUIRED, SECRET, errors_of

COMMON_DEFAULTS: dict[str, object] = {
    "AWS_ENDPOINT_URL": None,
    "ENVIRONMENT": "dev",
    "LOG_LEVEL": "info",
    "TABLE_NAME": "AsyncEventTable",
    "EVENT_BUS_NAME": "default",
}
WORKER_DEFAULTS = COMMON_DEFAULTS | {
    "POLLERS": 16,
    "MAX_IN_FLIGHT": 1000,
    "PROCESSORS": 20,
    "BATCH_MAX_MESSAGES": 50,
    "BATCH_LINGER_MS": 20,
    "RECEIVE_WAIT_S": 10,
    "VISIBILITY_TIMEOUT_S": 60,
    "DLQ_POLLERS": 0,
    "PUBLISH_CONCURRENCY": 32,
    "PUBLISH_LINGER_MS": 20,
    "PUBLISH_TIMEOUT_S": 5,
    "PUBLISH_MAX_ATTEMPTS": 3,
    "DELETE_LINGER_MS": 20,
    "RETRY_BACKOFF_BASE_S": 2,
    "RETRY_BACKOFF_MAX_S": 60,
    "SHUTDOWN_TIMEOUT_S": 25,
    "HTTP_PORT": 9000,
    "WORKER_ID": None,
}
INGEST_DEFAULTS = COMMON_DEFAULTS | {
    "HTTP_PORT": 8080,
    "JWKS_URL": None,
    "JWT_AUDIENCE": None,
    "JWT_ISSUER": None,
    "CORS_ORIGINS": None,
    "MAX_WAITING_REQUESTS": 5_000,
    "PUBLISH_REQUESTED_EVENTS": False,
    "EVENT_CACHE_TTL_S": 5,
    "COALESCE_LINGER_MS": 3,
}


def defaults(settings: BaseSettings, names: Mapping[str, object]) -> dict[str, object]:
    return {name: getattr(settings, name.lower()) for name in names}


def test_the_worker_has_every_variable_with_its_stated_default() -> None:
    assert defaults(load(WorkerSettings), WORKER_DEFAULTS) == WORKER_DEFAULTS


def test_ingest_has_every_variable_with_its_stated_default(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("JWT_SECRET", SECRET)

    assert defaults(load(IngestSettings), INGEST_DEFAULTS) == INGEST_DEFAULTS


@pytest.mark.parametrize("kind", [WorkerSettings, IngestSettings, TokenSettings])
def test_every_variable_says_what_it_is_for(kind: type[BaseSettings]) -> None:
    silent = [name for name, field in kind.model_fields.items() if not field.description]

    assert silent == []


def test_the_environment_goes_before_the_default(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("POLLERS", "8")
    environment.setenv("TABLE_NAME", "Other")

    settings = load(WorkerSettings)

    assert (settings.pollers, settings.table_name) == (8, "Other")


def test_an_override_goes_before_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("POLLERS", "8")

    assert load(WorkerSettings, pollers=3).pollers == 3


def test_an_empty_variable_counts_as_unset(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("POLLERS", "")
    environment.setenv("AWS_ENDPOINT_URL", "")

    settings = load(WorkerSettings)

    assert (settings.pollers, settings.aws_endpoint_url) == (16, None)


def test_the_log_level_may_be_written_in_capitals(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("LOG_LEVEL", "WARNING")
    environment.setenv("LOG_FORMAT", "Console")

    settings = load(WorkerSettings)

    assert (settings.log_level, settings.log_format) == ("warning", "console")


@pytest.mark.parametrize(("is_terminal", "form"), [(True, "console"), (False, "json")])
def test_logs_are_for_people_on_a_terminal_and_json_elsewhere(
    monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool, form: str
) -> None:
    stream = StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stderr", stream)

    assert load(WorkerSettings).log_format == form


def test_what_is_not_set_is_named_with_what_it_is_for(environment: pytest.MonkeyPatch) -> None:
    for name in REQUIRED:
        environment.delenv(name)

    assert errors_of(WorkerSettings) == [
        "AWS_REGION is not set (AWS region, such as ap-northeast-2)",
        "QUEUE_URL is not set (URL of the main queue)",
        "DLQ_URL is not set (URL of the dead-letter queue)",
    ]


def test_all_errors_are_reported_together(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("QUEUE_URL")
    environment.setenv("POLLERS", "many")
    environment.setenv("BATCH_MAX_MESSAGES", "100")
    environment.setenv("LOG_FORMAT", "xml")

    lines = errors_of(WorkerSettings)

    assert len(lines) == 4
    assert [line.partition("=")[0].partition(" ")[0] for line in sorted(lines)] == [
        "BATCH_MAX_MESSAGES",
        "LOG_FORMAT",
        "POLLERS",
        "QUEUE_URL",
    ]
    assert any(line.startswith("POLLERS='many': ") for line in lines)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("BATCH_MAX_MESSAGES", 99),
        ("RECEIVE_WAIT_S", 20),
        ("VISIBILITY_TIMEOUT_S", 43_200),
        ("MAX_IN_FLIGHT", 120_000),
        ("SHUTDOWN_TIMEOUT_S", 120),
        ("RETRY_BACKOFF_MAX_S", 43_200),
        ("HTTP_PORT", 65_535),
    ],
)
def test_a_value_above_an_aws_limit_is_refused(
    environment: pytest.MonkeyPatch, name: str, most: int
) -> None:
    environment.setenv("SHUTDOWN_TIMEOUT_S", "120")
    environment.setenv(name, str(most))
    load(WorkerSettings)

    environment.setenv(name, str(most + 1))
    (line,) = errors_of(WorkerSettings)

    assert line.startswith(f"{name}=")
    assert f"less than or equal to {most}" in line


@pytest.mark.parametrize(
    "name",
    [
        "POLLERS",
        "MAX_IN_FLIGHT",
        "PROCESSORS",
        "BATCH_MAX_MESSAGES",
        "VISIBILITY_TIMEOUT_S",
        "PUBLISH_CONCURRENCY",
        "PUBLISH_TIMEOUT_S",
        "PUBLISH_MAX_ATTEMPTS",
        "RETRY_BACKOFF_BASE_S",
    ],
)
def test_zero_is_refused_where_nothing_could_work(
    environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv(name, "0")

    (line,) = errors_of(WorkerSettings)

    assert line.startswith(f"{name}='0': ")


def test_the_longest_backoff_is_not_below_the_first(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RETRY_BACKOFF_BASE_S", "30")
    environment.setenv("RETRY_BACKOFF_MAX_S", "29")

    (line,) = errors_of(WorkerSettings)

    assert line.startswith("RETRY_BACKOFF_MAX_S='29': must not be below RETRY_BACKOFF_BASE_S (30)")


def test_a_drain_must_be_longer_than_a_poll(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RECEIVE_WAIT_S", "20")
    environment.setenv("SHUTDOWN_TIMEOUT_S", "20")

    (line,) = errors_of(WorkerSettings)

    assert line.startswith(
        "SHUTDOWN_TIMEOUT_S='20': minus 3 s for handing back, it must exceed RECEIVE_WAIT_S (20)"
    )


@pytest.mark.parametrize("given", [{}, {"JWT_SECRET": SECRET, "JWKS_URL": "https://keys"}])
def test_ingest_refuses_to_start_without_exactly_one_way_to_check_tokens(
    environment: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    for name, value in given.items():
        environment.setenv(name, value)

    (line,) = errors_of(IngestSettings)

    assert line == "set exactly one of JWT_SECRET and JWKS_URL: they verify who clicks"


def test_settings_cannot_be_changed_later() -> None:
    settings = load(WorkerSettings)

    with pytest.raises(ValueError, match="frozen"):
        settings.pollers = 9


def test_a_tool_needs_no_queue(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("QUEUE_URL")
    environment.delenv("DLQ_URL")

    assert load(AwsSettings).table_name == "AsyncEventTable"
    assert len(errors_of(CommonSettings)) == 2


def test_the_seats_of_a_transaction_leave_room_for_the_capacity() -> None:
    assert limits.SEATS_PER_TRANSACTION + 1 == limits.DYNAMODB_TRANSACT_ACTIONS == 100


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("*", "*"),
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://Shop.Example", "https://shop.example"),
        (
            "https://shop.example, http://localhost:5173,https://shop.example",
            "https://shop.example,http://localhost:5173",
        ),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("http://shop.example:443", "http://shop.example:443"),
    ],
)
def test_origins_are_taken_as_browsers_send_them(
    given: str, normalised: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("JWT_SECRET", SECRET)
    environment.setenv("CORS_ORIGINS", given)

    assert load(IngestSettings).cors_origins == normalised


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("shop.example", "must be * alone, or origins"),
        ("https://shop.example/", "no path, no slash at the end"),
        ("https://shop.example/path", "must be * alone, or origins"),
        ("https://shop.example?", "must be * alone, or origins"),
        ("https://a@shop.example", "must be * alone, or origins"),
        ("https://*.shop.example", "must be * alone, or origins"),
        ("*,https://shop.example", "must be * alone, or origins"),
        ("https://shop.example,", "must be * alone, or origins"),
        ("https://shop.example https://other.example", "must be * alone, or origins"),
        ("null", "must be * alone, or origins"),
        ("https://caf\u00e9.example", "must be * alone, or origins"),
        ("https://shop.example:443", "must not name the port in https://shop.example:443"),
        ("http://shop.example:80", "must not name the port"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_at_the_start(
    given: str, says: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("JWT_SECRET", SECRET)
    environment.setenv("CORS_ORIGINS", given)

    [line] = errors_of(IngestSettings)
    assert line.startswith("CORS_ORIGINS=")
    assert says in line
