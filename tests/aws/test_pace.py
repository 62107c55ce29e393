"""The pace: free until the first throttle, then by what the account's quota lets through."""

from math import inf

import pytest

from aws.pace import Pace

STARVED_AFTER_S = 30


def paced(*, calls_per_s: int = 100, at_s: float = 10.0) -> Pace:
    """A pace whose first throttle came after a second of calls, at `at_s`."""
    pace = Pace(STARVED_AFTER_S, 0.0)
    for number in range(calls_per_s):
        pace.take_turn(at_s - 1 + (number + 1) / calls_per_s)
    pace.throttled(at_s, at_s)
    return pace


def run(pace: Pace, from_s: float, until_s: float, quota_per_s: float = inf) -> tuple[int, int]:
    """Call whenever it is one's turn, in steps of a hundredth of a second: accepted, throttled."""
    accepted, throttled, tokens, now_s = 0, 0, 0.0, from_s
    while now_s < until_s:
        tokens = min(max(1.0, quota_per_s), tokens + quota_per_s / 100)
        while tokens > 0 and pace.wait_s(now_s, is_repeat=False) == 0.0:
            pace.take_turn(now_s)
            if tokens >= 1:
                tokens -= 1
                accepted += 1
                pace.accepted(now_s, now_s)
            else:
                throttled += 1
                pace.throttled(now_s, now_s)
            if pace.rate_per_s == inf:
                break
        now_s += 0.01
    return accepted, throttled


def test_nobody_waits_before_the_first_throttle() -> None:
    pace = Pace(STARVED_AFTER_S, 0.0)
    for _ in range(1_000):
        pace.take_turn(5.0)
        pace.accepted(5.0, 5.0)

    assert pace.wait_s(5.0, is_repeat=False) == 0.0


def test_a_throttle_lowers_the_rate_to_a_part_of_what_was_called_in_the_last_second() -> None:
    pace = paced(calls_per_s=100, at_s=10.0)

    assert pace.rate_per_s == pytest.approx(70)
    assert pace.wait_s(10.0, is_repeat=False) == pytest.approx(1 / 70)


def test_calls_of_long_ago_do_not_count_as_rate() -> None:
    pace = Pace(STARVED_AFTER_S, 0.0)
    for number in range(500):
        pace.take_turn(number / 100)
    pace.take_turn(60.0)
    pace.throttled(60.0, 60.0)

    assert pace.rate_per_s == pytest.approx(0.7)


def test_throttles_of_calls_that_left_together_lower_the_rate_once() -> None:
    pace = paced(at_s=10.0)
    lowered = pace.rate_per_s
    for _ in range(20):
        pace.throttled(9.99, 10.01)

    assert pace.rate_per_s == lowered

    pace.throttled(10.02, 10.03)

    assert pace.rate_per_s < lowered


def test_a_call_that_left_before_the_throttle_does_not_raise_the_rate() -> None:
    pace = paced(at_s=10.0)
    lowered = pace.rate_per_s

    pace.accepted(9.99, 60.0)
    assert pace.rate_per_s == lowered

    pace.accepted(10.02, 60.0)
    assert pace.rate_per_s > lowered


def test_one_accepted_call_raises_the_rate_by_little() -> None:
    pace = paced(at_s=10.0)
    lowered = pace.rate_per_s

    pace.accepted(11.0, 1_000.0)

    assert pace.rate_per_s <= lowered * 1.05


def test_turns_are_spaced_by_the_rate() -> None:
    pace = paced(at_s=10.0)
    for turn in range(1, 4):
        assert pace.wait_s(10.0, is_repeat=False) == pytest.approx(turn / 70)
        pace.take_turn(10.0)


def test_what_is_not_called_is_not_saved_up() -> None:
    pace = paced(at_s=10.0)
    pace.take_turn(20.0)

    assert pace.wait_s(20.0, is_repeat=False) == pytest.approx(1 / 70)


def test_repeats_go_before_new_calls() -> None:
    pace = paced(at_s=10.0)
    pace.repeats_waiting = 3

    assert pace.wait_s(10.0, is_repeat=True) == pytest.approx(1 / 70)
    assert pace.wait_s(10.0, is_repeat=False) == pytest.approx(4 / 70)


@pytest.mark.parametrize("quota_per_s", [2.0, 20.0, 200.0])
def test_the_rate_finds_the_quota_and_little_is_throttled(quota_per_s: float) -> None:
    pace = paced(calls_per_s=500, at_s=10.0)
    run(pace, 10.0, 20.0, quota_per_s)

    accepted, throttled = run(pace, 20.0, 80.0, quota_per_s)

    assert accepted >= 0.75 * quota_per_s * 60
    assert throttled <= 0.2 * accepted


def test_the_rate_recovers_within_seconds_once_the_quota_is_free_again() -> None:
    pace = paced(calls_per_s=100, at_s=10.0)
    run(pace, 10.0, 40.0, quota_per_s=2.0)
    assert pace.rate_per_s < 4

    run(pace, 40.0, 60.0, quota_per_s=10_000.0)

    assert pace.rate_per_s > 100


def test_however_much_is_throttled_some_calls_go_on() -> None:
    pace = paced(at_s=10.0)
    for at_s in range(11, 60):
        pace.throttled(at_s, at_s)

    assert pace.rate_per_s == pytest.approx(0.25)


def test_the_rate_recovers_from_a_time_when_everything_was_throttled() -> None:
    pace = paced(at_s=10.0)
    for at_s in range(11, 40):
        pace.throttled(at_s, at_s)

    run(pace, 40.0, 80.0, quota_per_s=10_000.0)

    assert pace.rate_per_s > 100


def test_nobody_waits_for_a_service_that_does_not_answer() -> None:
    pace = paced(at_s=10.0)

    pace.unanswered()
    assert pace.wait_s(10.0, is_repeat=False) == 0.0
    assert not pace.is_worth_waiting(10.0)

    pace.throttled(9.9, 10.0)
    assert pace.wait_s(10.0, is_repeat=False) > 0


def test_waiting_is_worth_while_as_long_as_events_are_accepted() -> None:
    pace = paced(at_s=10.0)
    pace.accepted(10.0, 12.0)

    assert pace.is_worth_waiting(12.0 + STARVED_AFTER_S - 0.1)
    assert not pace.is_worth_waiting(12.0 + STARVED_AFTER_S + 0.1)
