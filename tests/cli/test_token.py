"""`participation token`: a token that ingest accepts, or a clear reason why there is none."""

import json
from time import time

import jwt
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from config.settings import SettingsError

SECRET = "a secret of more than thirty-two bytes"


def run(*arguments: str, **variables: str) -> Result:
    environment = {"JWT_SECRET": SECRET, "JWT_AUDIENCE": "", "JWT_ISSUER": "", **variables}
    return CliRunner().invoke(app, ["token", *arguments], env=environment)


def claims(
    result: Result, audience: str | None = None, issuer: str | None = None
) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    decoded: dict[str, object] = jwt.decode(
        result.stdout.strip(), SECRET, algorithms=["HS256"], audience=audience, issuer=issuer
    )
    return decoded


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3_600), ("7d", 604_800)]
)
def test_it_prints_a_token_of_the_user_that_is_valid_as_long_as_asked(
    text: str, seconds: int
) -> None:
    found = claims(run("--user", "user-1", "--expires-in", text))

    assert found["sub"] == "user-1"
    assert found["exp"] == pytest.approx(time() + seconds, abs=5)


def test_in_json_it_says_until_when_it_is_valid() -> None:
    shown = json.loads(run("--user", "user-1", "--expires-in", "90s", "--json").stdout)

    claimed = jwt.decode(shown["token"], SECRET, algorithms=["HS256"])
    assert (shown["user"], shown["expiresAt"]) == ("user-1", claimed["exp"] * 1000)


def test_without_a_duration_it_is_valid_for_an_hour() -> None:
    assert claims(run("--user", "user-1"))["exp"] == pytest.approx(time() + 3_600, abs=5)


def test_it_names_the_audience_and_the_issuer_that_ingest_asks_for() -> None:
    result = run("--user", "user-1", JWT_AUDIENCE="participation", JWT_ISSUER="issuer")

    found = claims(result, audience="participation", issuer="issuer")
    assert (found["aud"], found["iss"]) == ("participation", "issuer")


@pytest.mark.parametrize("text", ["", "1", "h", "0s", "-1h", "1.5h", "1w", "99999999d"])
def test_what_is_not_a_duration_is_a_usage_error(text: str) -> None:
    result = run("--user", "user-1", "--expires-in", text)

    assert result.exit_code == 2
    assert "15m" in result.output


@pytest.mark.parametrize("user", ["", "x" * 513])
def test_an_impossible_user_is_a_usage_error(user: str) -> None:
    result = run("--user", user)

    assert result.exit_code == 2
    assert "1 to 512" in result.output


@pytest.mark.parametrize(
    ("secret", "text"), [("", "JWT_SECRET is not set"), ("short", "at least 32 bytes")]
)
def test_without_a_good_secret_there_is_no_token(secret: str, text: str) -> None:
    result = run("--user", "user-1", JWT_SECRET=secret)

    assert isinstance(result.exception, SettingsError)
    assert text in str(result.exception)
    assert "eyJ" not in result.output
