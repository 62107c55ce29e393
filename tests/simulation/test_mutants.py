"""The simulation finds what a careless change breaks: a sample, and the search itself."""

import importlib
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.simulation.mutants import __main__ as program
from tests.simulation.mutants.catalogue import ALL, BY_NAME
from tests.simulation.mutants.mutation import (
    ROOT,
    DoesNotApplyError,
    Mutation,
    replaced,
)
from tests.simulation.mutants.search import find

SAMPLE: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "accepted-before-sent": ("promise", (0, 1, 2)),
    "started-before-queued": ("times", (2, 7, 8)),
    "seats-gone-before-the-answer": ("losers", (2, 6)),
    "acknowledged-before-published": ("unpublished", (0, 1, 2)),
    "winner-without-condition": ("final", (1, 2, 4)),
    "insert-without-condition": ("final", (1, 2, 10)),
    "losers-among-the-winners": ("index", (6, 8, 12)),
}
"""Mutations, a rule that each breaks, and seeds that find it.

`make simulate-mutants` runs all mutations on 200 seeds.
"""


@pytest.mark.parametrize("name", SAMPLE)
def test_a_mutation_is_found(name: str) -> None:
    rule, seeds = SAMPLE[name]
    assert rule in find(BY_NAME[name], seeds).values()


def test_every_mutation_applies_to_the_product_as_it_is_and_has_a_name_of_its_own() -> None:
    assert len(BY_NAME) == len(ALL) >= 50
    for mutation in ALL:
        source = mutation.path.read_text("utf-8")
        mutated = mutation.apply(source)
        assert mutated != source
        compile(mutated, mutation.name, "exec")


@pytest.mark.parametrize("text", ["not there", "twice"])
def test_a_mutation_that_does_not_stand_exactly_once_is_an_error(text: str) -> None:
    mutation = replaced("m", "breaks", "worker.decide", (text, "something else"))
    with pytest.raises(DoesNotApplyError):
        mutation.apply("twice and twice")


def test_a_module_that_is_loaded_already_cannot_be_mutated() -> None:
    importlib.import_module(ALL[0].module)
    loading = importlib.import_module("tests.simulation.mutants.loading")
    with pytest.raises(RuntimeError, match="loaded already"):
        loading.install(ALL[0])


def test_the_mutated_module_is_the_one_that_runs() -> None:
    program = (
        "from tests.simulation.mutants import loading\n"
        "from tests.simulation.mutants.mutation import replaced\n"
        "loading.install(replaced('m', 'b', 'schema.names', "
        "('TTL_ATTRIBUTE: Final = \"ttl\"', 'TTL_ATTRIBUTE: Final = \"changed\"')))\n"
        "from schema import names\n"
        "print(names.TTL_ATTRIBUTE)\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "changed"


def _run(
    monkeypatch: pytest.MonkeyPatch, found: Mapping[int, str], *arguments: str
) -> tuple[int, list[str]]:
    asked: list[str] = []

    def find_nothing_else(mutation: Mutation, seeds: range) -> Mapping[int, str]:
        asked.append(f"{mutation.name} {len(seeds)}")
        return found

    monkeypatch.setattr(program, "find", find_nothing_else)
    monkeypatch.setattr(sys, "argv", ["mutants", *arguments])
    return program.main(), asked


def test_the_command_fails_where_a_mutation_is_not_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, {}, "losers-first") == (1, ["losers-first 200"])
    assert "not found: losers-first" in capsys.readouterr().err


def test_the_command_prints_how_many_seeds_found_a_mutation_and_by_which_rule(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {4: "losers", 7: "seats", 9: "losers"}
    status, asked = _run(monkeypatch, found, "--seeds", "10", "losers-first")
    assert (status, asked) == (0, ["losers-first 10"])
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row == ["losers-first", "3", "of", "10", "5", "losers", "2,", "seats", "1"]


def test_without_names_the_command_runs_all_mutations(monkeypatch: pytest.MonkeyPatch) -> None:
    _, asked = _run(monkeypatch, {0: "losers"})
    assert sorted(asked) == sorted(f"{mutation.name} 200" for mutation in ALL)
