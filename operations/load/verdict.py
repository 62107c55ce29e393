"""What a load's figures are worth: thresholds that were missed, and the generator's own limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from operations.load.tally import LATE_MS, Result, Sending

_FULL_CORE: Final = 0.9
"""From this share of a core on, answers wait in the generator as well as in the service."""
_LATE_SHARE: Final = 0.01
"""So many clicks sent late are enough to move a p99."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What a load must keep to; None: anything will do."""

    p99_ms: float | None = None
    """Of the latencies from the scheduled moments."""
    errors_share: float | None = None
    """The greatest share of clicks that may not be accepted."""


def missed(result: Result, thresholds: Thresholds) -> Sequence[str]:
    """What was missed, in sentences; a load of which nothing was accepted misses in any case."""
    found = []
    if not result.accepted:
        found.append("no click was accepted")
    times, wanted = result.latency, thresholds.p99_ms
    if wanted is not None and times is not None and times.p99 > wanted:
        found.append(f"p99 is {times.p99:,.1f} ms, wanted at most {wanted:g} ms")
    share = thresholds.errors_share
    if share is not None and result.errors_share > share:
        found.append(f"{result.errors_share:.2%} were not accepted, wanted at most {share:.2%}")
    return found


def remarks(sending: Sending) -> Sequence[str]:
    """Where the generator, not the service, may have been the bottleneck, in sentences."""
    found = []
    if sending.cpu_share >= _FULL_CORE:
        found.append(
            f"The generator took {sending.cpu_share:.0%} of a core: it may be slower than the "
            "service. Split the rate over several processes or machines, each with its own --prefix"
        )
    if sending.held:
        found.append(
            f"{sending.held:,} clicks waited for one of the {sending.connections_allowed:,} "
            "connections: their latencies hold that wait. If the service is not the slower one, "
            "give more --connections (and the shell more open files: ulimit -n)"
        )
    if not found and sending.late > sending.sent * _LATE_SHARE:
        found.append(
            f"{sending.late:,} clicks were sent more than {LATE_MS:.0f} ms late, though neither "
            "core nor connections were short: this machine is busy, or connecting takes long"
        )
    return found
