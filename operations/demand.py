"""What one request takes of AWS (docs/operations.md, "Units per request")."""

from typing import Final

from config.limits import EVENTBRIDGE_BATCH_ENTRIES

STORED_UNITS: Final = 1.0
"""Of the table, before a click is answered; without them it is refused."""
TABLE_WRITE_UNITS: Final = 3.0
"""Of a loser: stored, queued, decided."""
WINNER_WRITE_UNITS: Final = 1.04
"""More for a winner: the transaction's double price, and its share of the capacity's."""
INDEX_WRITE_UNITS: Final = 2.0
"""On GSI1: queued, decided."""
WINNER_INDEX_WRITE_UNITS: Final = 1.0
"""On GSI2, of a winner alone."""
READ_UNITS: Final = 1.4
"""One, and again where the request was read before ingest had marked it: 1.0 to 1.45, simulated."""
SQS_CALLS: Final = 0.35
"""Send, receive and delete in tens, and some that are not full."""
EVENT_BYTES: Final = 436
EVENTS_A_CALL: Final = EVENTBRIDGE_BATCH_ENTRIES
"""Of PutEvents. What EventBridge puts into one call of Firehose is not documented; the simulation
passes a call's events on together."""
PART_FILLED_CALLS_PER_S: Final = 13
"""PutEvents calls a second and worker that leave with fewer events, as PUBLISH_LINGER_MS is over:
5 to 16, simulated at 300 to 3,000 messages a second. Beyond the quota events wait, and share."""
WRITTEN_AFTER_S: Final = 0.037
"""From a click until a limit of its writes is in the way, and of its event: as simulated."""
PUBLISHED_AFTER_S: Final = 0.078
IN_FLIGHT_S: Final = 0.1
"""From receive to delete, at the usual times of AWS's calls."""
SEATS_PER_S: Final = 4_600
"""How fast one event's seats are sold (docs/operations.md, "Seats a second": twelve workers)."""
CLICKS_A_LOAD_BALANCER_UNIT: Final = 25
"""New connections a second of one LCU (Elastic Load Balancing pricing): each click from another
phone is one."""
