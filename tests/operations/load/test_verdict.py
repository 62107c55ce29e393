"""What is missed, and when the generator says that it was the bottleneck itself."""

from collections import Counter
from dataclasses import replace

import pytest

from operations.load.tally import Latencies, Sending, latencies
from operations.load.verdict import Thresholds, missed, remarks
from tests.operations.load.results import RESULT, SENDING


@pytest.mark.parametrize(
    ("thresholds", "sentences"),
    [
        (Thresholds(), 0),
        (Thresholds(p99_ms=30, errors_share=0.02), 0),
        (Thresholds(p99_ms=29), 1),
        (Thresholds(errors_share=0.01), 1),
        (Thresholds(p99_ms=29, errors_share=0), 2),
    ],
)
def test_a_threshold_is_missed_by_what_lies_beyond_it(
    thresholds: Thresholds, sentences: int
) -> None:
    assert len(missed(RESULT, thresholds)) == sentences


def test_a_load_of_which_nothing_was_accepted_misses_without_any_threshold() -> None:
    refused = replace(RESULT, by_status=Counter({401: 3}), accepted=0)
    assert missed(refused, Thresholds()) == ["no click was accepted"]


def test_a_generator_that_kept_up_says_nothing() -> None:
    assert not remarks(replace(SENDING, late=1))


@pytest.mark.parametrize(
    ("sending", "word"),
    [
        (replace(SENDING, cpu_share=0.95, late=20), "95% of a core"),
        (replace(SENDING, held=20, late=20), "20 clicks waited for one of the 10 connections"),
        (replace(SENDING, late=2), "this machine is busy"),
    ],
)
def test_the_generators_own_limit_is_named(sending: Sending, word: str) -> None:
    (sentence,) = remarks(sending)
    assert word in sentence


def test_percentiles_are_exact_by_nearest_rank() -> None:
    assert latencies([float(n) for n in range(100, 0, -1)]) == Latencies(50, 90, 99, 100)
    assert latencies([5.0]) == Latencies(5, 5, 5, 5)
    assert latencies([]) is None
