"""A load's result as tests begin with it."""

from collections import Counter

from operations.load.tally import Latencies, Result, Sending

SENDING = Sending(
    scheduled=100,
    sent=100,
    seconds=1.0,
    late=0,
    latest_ms=2.0,
    held=0,
    connections=5,
    connections_allowed=10,
    cpu_share=0.2,
)
RESULT = Result(
    by_status=Counter({202: 98, 503: 2}),
    by_problem=Counter({"unavailable": 2}),
    accepted=98,
    duplicates=0,
    retries=0,
    latency=Latencies(1, 2, 30, 40),
    service=Latencies(1, 2, 3, 4),
    sending=SENDING,
    seconds=1.0,
    is_interrupted=False,
)
