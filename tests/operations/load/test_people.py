"""Who clicks and when: the moments, the names, the tokens of a secret and of a file."""

from itertools import islice, pairwise
from pathlib import Path
from statistics import mean
from time import time

import jwt
import pytest

from config.settings import TokenSettings
from operations.load import people
from operations.load.people import Arrivals, Person
from operations.load.target import LoadError, Target

SECRET = "a secret of more than thirty-two bytes"


def token(user: str, expires_in_s: float = 600) -> str:
    return jwt.encode({"sub": user, "exp": time() + expires_in_s}, SECRET, "HS256")


def test_constant_arrivals_keep_their_distance() -> None:
    assert list(people.moments(Arrivals.CONSTANT, 4, 1.5, 1)) == [0, 0.25, 0.5, 0.75, 1, 1.25]
    assert len(list(people.moments(Arrivals.CONSTANT, 500, 6, 1))) == 3_000


def test_poisson_arrivals_are_as_many_differ_in_distance_and_repeat_by_their_seed() -> None:
    found = list(people.moments(Arrivals.POISSON, 1_000, 20, 7))

    assert found == list(people.moments(Arrivals.POISSON, 1_000, 20, 7))
    assert found != list(people.moments(Arrivals.POISSON, 1_000, 20, 8))
    assert len(found) == pytest.approx(20_000, rel=0.05)
    gaps = [after - before for before, after in pairwise(found)]
    assert mean(gaps) == pytest.approx(0.001, rel=0.05)
    # Exponential gaps: e^-1 of them are longer than their mean.
    assert mean(gap > 0.001 for gap in gaps) == pytest.approx(0.368, abs=0.02)
    assert 0 < found[0] < found[-1] < 20


def test_so_many_users_click_over_and_over_and_without_a_number_each_but_one_time() -> None:
    def sign(user: str) -> Person:
        return Person(user, "")

    few = [person.user_id for person in islice(people.named("a", 2, sign), 5)]
    assert few == ["a-0000000", "a-0000001", "a-0000000", "a-0000001", "a-0000000"]
    assert len({person.user_id for person in islice(people.named("a", None, sign), 500)}) == 500


def test_a_token_of_the_secret_is_as_ingests_settings_want_it() -> None:
    settings = TokenSettings(jwt_secret=SECRET, jwt_audience="us", jwt_issuer="we")  # type: ignore[arg-type]

    person = people.signer(settings, 60)("alice")

    claims = jwt.decode(person.token, SECRET, ["HS256"], audience="us", issuer="we")
    assert (person.user_id, claims["sub"]) == ("alice", "alice")


def test_tokens_are_read_from_a_file_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"{token('a')}\n\n  {token('b')}\r\n{token('c')}")

    assert [person.user_id for person in people.read(path, None, 60)] == ["a", "b", "c"]
    assert [person.user_id for person in people.read(path, 2, 60)] == ["a", "b"]
    assert people.read(path, 1, 60)[0].token.count(".") == 2


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nonsense", "line 2: this is not a token"),
        (jwt.encode({"sub": "a"}, SECRET, "HS256"), "line 2: this is not a token"),
        (None, "line 2: the token expires before the load ends"),
    ],
    ids=["no JWT", "without exp", "too short"],
)
def test_a_token_that_cannot_work_is_named_by_its_line(
    tmp_path: Path, line: str | None, complaint: str
) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"{token('a')}\n{line or token('b', 30)}\n")

    with pytest.raises(LoadError, match=complaint):
        people.read(path, None, 60)


def test_a_file_without_tokens_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("\n")
    with pytest.raises(LoadError, match="holds no token"):
        people.read(path, None, 60)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LoadError, match="cannot be read"):
        people.read(path, None, 60)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8080",
        "ftp://a",
        "http://",
        "https://u:p@a",
        "http://a?b",
        "http://a:b",
        "http://[a",
    ],
)
def test_what_is_no_services_url_is_refused_with_a_form_to_give(url: str) -> None:
    with pytest.raises(LoadError, match="give it as https://host"):
        Target(url, "e")
