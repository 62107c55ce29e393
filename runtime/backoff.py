"""How long to wait before another try: exponential, capped, with jitter."""

from random import Random


def delay_s(attempt: int, base_s: float, max_s: float, random: Random) -> float:
    """Seconds to wait after the given failed attempt (1 for the first).

    Between half and the whole of `base_s · 2^(attempt - 1)`, at most `max_s`: the half keeps a
    minimum distance, the rest spreads callers that failed together (AWS Architecture Blog,
    "Exponential Backoff And Jitter": equal jitter). `random` decides where in between.
    """
    ceiling = min(max_s, base_s * 2.0 ** min(attempt - 1, 32))
    return ceiling * (0.5 + random.random() / 2)
