"""What became of each delivery: the status that travels from processing to acknowledgement."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from aws.queue import Delivery
from schema.items import RequestItem
from schema.message import MessageDefect
from schema.values import value


class Outcome(StrEnum):
    """How a delivery was settled; the values of `worker_messages_settled_total{outcome}`."""

    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    FAILED_FINAL = "failed_final"
    DUPLICATE = "duplicate"
    RETRIED = "retried"
    QUARANTINED = "quarantined"
    RETURNED = "returned"


@value(frozen=True, slots=True)
class Decided:
    """A final request: its event is to be published and its deliveries to be deleted."""

    deliveries: tuple[Delivery, ...]
    item: RequestItem
    by_this_worker: bool
    """Whether this batch took the decision; otherwise it is a redelivery."""


@dataclass(frozen=True, slots=True)
class Defective:
    """A delivery that names no usable request: it is to be quarantined."""

    delivery: Delivery
    defect: MessageDefect


@dataclass(frozen=True, slots=True)
class Undecided:
    """Deliveries to be tried again later."""

    deliveries: tuple[Delivery, ...]
    request_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class BatchResult:
    """One batch, decided as far as it could be."""

    started_at_ms: int
    finished_at_ms: int
    decided: Sequence[Decided] = ()
    defective: Sequence[Defective] = ()
    undecided: Sequence[Undecided] = ()
