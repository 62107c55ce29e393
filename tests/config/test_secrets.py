"""Secrets and URLs among the settings: which are refused, and that none is ever shown."""

from secrets import token_urlsafe

import pytest
from pydantic_settings import BaseSettings

from config.settings import (
    IngestSettings,
    SettingsError,
    TokenSettings,
    WorkerSettings,
    effective,
    load,
)
from tests.config.support import SECRET, errors_of


@pytest.mark.parametrize("kind", [IngestSettings, TokenSettings])
def test_a_short_secret_is_refused_and_never_shown(
    environment: pytest.MonkeyPatch, kind: type[BaseSettings]
) -> None:
    environment.setenv("JWT_SECRET", "guess-me")

    with pytest.raises(SettingsError, match=r"JWT_SECRET=.*at least 32 bytes") as caught:
        load(kind)

    assert "guess-me" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("kind", [IngestSettings, TokenSettings])
@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (" " * 32, "at least 32 bytes"),
        ("\t\n" * 20, "at least 32 bytes"),
        (f"{SECRET[:31]} ", "at least 32 bytes"),
        ("x" * 64, "at least 8 different characters"),
        ("password" * 4, "at least 8 different characters"),
    ],
)
def test_a_secret_of_blanks_or_of_few_characters_is_refused(
    environment: pytest.MonkeyPatch, kind: type[BaseSettings], secret: str, why: str
) -> None:
    environment.setenv("JWT_SECRET", secret)

    (line,) = errors_of(kind)

    assert line.startswith("JWT_SECRET=**********: must ")
    assert why in line


@pytest.mark.parametrize(
    "secret",
    [SECRET, "correct horse battery staple, twice", pytest.param(token_urlsafe(24), id="random")],
)
def test_a_secret_of_enough_characters_is_taken_as_it_is(
    environment: pytest.MonkeyPatch, secret: str
) -> None:
    environment.setenv("JWT_SECRET", f"{secret} ")

    assert load(TokenSettings).jwt_secret.get_secret_value() == f"{secret} "


@pytest.mark.parametrize(
    "url",
    [
        "https://issuer.example/jwks.json",
        "HTTPS://issuer.example/",
        "https://issuer.example/jwks.json?tenant=1",
        "http://127.0.0.1:8080/jwks.json",
        "http://127.9.9.9/",
        "http://[::1]:8080/jwks.json",
        "http://localhost/jwks.json",
    ],
)
def test_a_key_set_is_read_by_https_and_on_this_machine_by_http(
    environment: pytest.MonkeyPatch, url: str
) -> None:
    environment.setenv("JWKS_URL", url)

    assert load(IngestSettings).jwks_url == url


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/jwks.json",
        "file://localhost/etc/jwks.json",
        "ftp://127.0.0.1/jwks.json",
        "http://issuer.example/jwks.json",
        "http://127.0.0.1.issuer.example/jwks.json",
        "http://localhost.issuer.example/jwks.json",
        "http://10.0.0.1/jwks.json",
        "http://169.254.169.254/jwks.json",
        "http://[::2]/jwks.json",
        "//127.0.0.1/jwks.json",
        "https://",
        "https:///jwks.json",
        "https://[::1/jwks.json",
        "127.0.0.1",
        "nonsense",
    ],
)
def test_a_key_set_is_read_from_nowhere_else(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("JWKS_URL", url)

    (line,) = errors_of(IngestSettings)

    assert line.startswith(f"JWKS_URL='{url}': ")


URLS = ("aws_endpoint_url", "queue_url", "dlq_url", "events_endpoint_url", "lost_events_queue_url")


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@issuer.example/jwks.json",  # pragma: allowlist secret
        "https://hunter2@issuer.example",
        "https://a:x@y/hunter2?hunter2#hunter2@host/x?hunter2",  # pragma: allowlist secret
        "file://user:hunter2@host/jwks.json",  # pragma: allowlist secret
        "user:hunter2@issuer.example",
        "https://user:hunter2@[::1",  # pragma: allowlist secret
    ],
)
def test_a_url_with_a_password_is_refused_without_showing_it(
    environment: pytest.MonkeyPatch, url: str
) -> None:
    for name in (*URLS, "jwks_url"):
        environment.setenv(name.upper(), url)

    lines = errors_of(IngestSettings)

    assert [line.partition("=")[0].lower() for line in lines] == [*URLS, "jwks_url"]
    assert "hunter2" not in str(lines)
    assert all("must not hold a user or a password" in line for line in lines)


def test_every_setting_that_is_a_url_is_known_to_these_tests() -> None:
    fields = {**WorkerSettings.model_fields, **IngestSettings.model_fields}

    assert {name for name in fields if name.endswith("_url")} == {*URLS, "jwks_url"}


def test_no_secret_is_shown_in_any_variable(environment: pytest.MonkeyPatch) -> None:
    fields = IngestSettings.model_fields
    texts = [name for name, field in fields.items() if field.annotation in {str, str | None}]
    given = dict.fromkeys(texts, "https://user:hunter2@host.example/path?key=hunter2#hunter2")
    given |= dict.fromkeys([*URLS, "jwks_url"], "https://host.example/path?key=hunter2#hunter2")
    for name, value in given.items():
        environment.setenv(name.upper(), value)

    shown = effective(load(IngestSettings))

    assert len(given) > len(URLS)
    assert "hunter2" not in str(shown)
    assert shown["JWKS_URL"] == "https://host.example/path?**********"
    assert shown["ENVIRONMENT"] == "https://**********@host.example/path?**********"


def test_what_is_no_url_is_shown_as_it_is(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WORKER_ID", "worker@host?#1")

    assert effective(load(WorkerSettings))["WORKER_ID"] == "worker@host?#1"


def test_the_effective_settings_mask_secrets(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("JWT_SECRET", SECRET)

    shown = effective(load(IngestSettings))

    assert shown["JWT_SECRET"] == "**********"
    assert SECRET not in str(shown)
    assert shown["HTTP_PORT"] == 8080
    assert shown["AWS_ENDPOINT_URL"] is None
    assert shown.keys() == {name.upper() for name in IngestSettings.model_fields}


def test_a_secret_is_not_in_the_settings_own_text(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("JWT_SECRET", SECRET)

    assert SECRET not in repr(load(IngestSettings))
