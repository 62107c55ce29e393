"""What all services of one account share: time, limits, chance, and who watches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeAlias

from config.quotas import NO_LIMITS, Limits
from simulation.aws.clock import Clock
from simulation.aws.errors import ServiceError
from simulation.aws.observer import Observer

ACCOUNT: Final = "000000000000"

Payload: TypeAlias = Mapping[str, Any]
"""A call's parameters, or a part of them."""
Reply: TypeAlias = Callable[[Mapping[str, Any] | ServiceError], None]
"""Takes an operation's answer, now or later."""


@dataclass(slots=True)
class Account:
    """An AWS account in one region.

    Everything that is left to chance comes from `random`, and nothing else decides by itself: two
    accounts with equal clocks, seeds and calls answer equally.
    """

    clock: Clock
    limits: Limits = NO_LIMITS
    observer: Observer | None = None
    random: Random = field(default_factory=lambda: Random(0))
    region: str = "us-east-1"
    caller: str = ""
    """Who made the call that is being handled, where somebody says so."""
    entry_fault: Callable[[str], str | None] | None = None
    """Decides for each entry of a batch whether it fails alone, and by which error code."""
    transaction_s: Callable[[], float] | None = None
    """Draws how many seconds a DynamoDB transaction holds its items before it commits; without
    it, each commits immediately and none ever conflicts."""
    duplicate_delivery: float = 0.0
    """How probably SQS keeps a second copy of a message visible when it hands the message out."""
    unordered: bool = False
    """Whether SQS hands messages out in any order, and fewer than there are."""

    failed: Callable[[str, Exception], None] | None = None
    """Learns of errors in the model, in an observer, or of a missing parameter, by operation."""

    def arn(self, service: str, resource: str) -> str:
        """The name by which policies and errors know a resource."""
        return f"arn:aws:{service}:{self.region}:{ACCOUNT}:{resource}"
