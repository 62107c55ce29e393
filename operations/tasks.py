"""What clicks and messages cost a processor, and how many tasks a rate of them takes.

Processor times are those of one core of the EPYC of bench/RESULTS.md, section "Ingest"; what the
Xeon of its other sections needs is 1.85 times as long (bench/PROFILE.md).
"""

from math import ceil
from typing import Final

CORE: Final = "the EPYC core of bench/RESULTS.md"

CALL_S: Final = 33e-6
"""One call of AWS under load: 6.1 µs a click, at 0.186 calls (bench/PROFILE.md, "A click's
microseconds"); 23 µs a message on the Xeon, at 0.36 calls, come to the same."""
CLICK_S: Final = 52e-6
"""One click in ingest without its calls: with these, 58 µs (bench/PROFILE.md)."""
CALLS_A_CLICK: Final = 0.186
MESSAGE_S: Final = 24e-6
"""One message in the worker without its calls: with these, the 67 µs of bench/RESULTS.md on the
Xeon, 36 on the EPYC."""
CALLS_A_MESSAGE: Final = 0.36

VCPU: Final = 1 / 3
"""What a vCPU of Fargate is taken to do of that core: margin, as it is some thread of some
processor."""
BUSY: Final = 0.5
"""How busy a task may be at the plan's rate: margin for uneven seconds; IngestCpuPercent, at which
scaling begins to add tasks."""
SLOW_CALLS_PER_S: Final = 3_000
"""Messages a second that one worker decides while calls take 15 to 30 ms, whatever its processor
(docs/operations.md, "What one task bears")."""
LEAST_TASKS: Final = 2
"""Of each service: one may be replaced at any time."""

INGEST_PER_S: Final = BUSY * VCPU / (CLICK_S + CALLS_A_CLICK * CALL_S)
"""Clicks a second for one ingest task."""
WORKER_PER_S: Final = min(SLOW_CALLS_PER_S, BUSY * VCPU / (MESSAGE_S + CALLS_A_MESSAGE * CALL_S))
"""Messages a second for one worker task."""


def ingests(rate: float) -> int:
    """How many ingest tasks so many clicks a second take, at least one."""
    return max(1, ceil(rate / INGEST_PER_S))


def workers(rate: float) -> int:
    """How many worker tasks so many messages a second take, at least one."""
    return max(1, ceil(rate / WORKER_PER_S))
