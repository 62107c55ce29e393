"""Analytics events as entries of the bus."""

from typing import Final

from aws.bus import BusEntry
from schema import events, names
from schema.events import (
    AnalyticsEvent,
    ParticipationProcessed,
    ParticipationRequested,
    RequestFailed,
)
from schema.keys import MAX_TIME_MS

_ENVELOPES: Final = {
    ParticipationProcessed: (names.WORKER_SOURCE, names.PARTICIPATION_PROCESSED),
    RequestFailed: (names.WORKER_SOURCE, names.REQUEST_FAILED),
    ParticipationRequested: (names.INGEST_SOURCE, names.PARTICIPATION_REQUESTED),
}


def entry_of(event: AnalyticsEvent) -> BusEntry:
    """Encode an event; raises ValueError or TypeError for one that cannot be encoded."""
    source, detail_type = _ENVELOPES[type(event)]
    if isinstance(event, ParticipationRequested):
        time_ms = event.queuedAt
    else:
        time_ms = event.timestamps.finishedAt
    if not 0 <= time_ms <= MAX_TIME_MS:
        raise ValueError(f"{time_ms} is not an epoch time in milliseconds")
    return BusEntry(source, detail_type, events.encode(event), time_ms // 1000)
