"""What a run costs on AWS, by the units and calls that the model counted."""

from collections.abc import Sequence
from typing import Final

from operations import prices
from operations.prices import Cost
from simulation.outcome import Figures

_QUEUE_CALLS: Final = (
    "SendMessage",
    "SendMessageBatch",
    "ReceiveMessage",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
)


def costs(figures: Figures) -> Sequence[Cost]:
    """What the whole run costs, by service."""
    return prices.of_requests(
        write_units=sum(usage.write_units for usage in figures.units.values()),
        read_units=sum(usage.read_units for usage in figures.units.values()),
        sqs_calls=sum(figures.calls.get(name, 0) for name in _QUEUE_CALLS),
        events=figures.published,
        records=figures.delivered,
    )
