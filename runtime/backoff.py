"""How long to wait before another try: exponential, capped, with jitter."""

from random import Random


def delay_s(attempt: int, base_s: float, max_s: float, random: Random) -> float:
    """Seconds to wait after the given failed attempt (1 for the first).

    Between half and the whole of `base_s · 2^(attempt - 1)`, at most `max_s`: the half keeps a
    minimum distance, the rest spreads callers that failed together (AWS Architecture Blog,
    "Exponential Backoff And Jitter": equal jitter). `random` decides where in between.
    """
    return _ceiling_s(attempt, base_s, max_s) * (0.5 + random.random() / 2)


def full_delay_s(attempt: int, base_s: float, max_s: float, random: Random) -> float:
    """As `delay_s`, but anything up to the whole: for callers that would meet again.

    AWS Architecture Blog, "Exponential Backoff And Jitter": full jitter makes the fewest calls
    where many contend for one thing.
    """
    return _ceiling_s(attempt, base_s, max_s) * random.random()


def _ceiling_s(attempt: int, base_s: float, max_s: float) -> float:
    return min(max_s, base_s * 2.0 ** min(attempt - 1, 32))
