"""What programs in Go took for the same work; measured once, beside ours, and not measured again.

The figures are medians of five rounds, with the least and the greatest in brackets.
"""

from typing import Final

from bench.report import Table

# ruff: noqa: RUF001 - ranges

_MEASURED: Final = (
    "**Go** (1.26, aws-sdk-go-v2, GOMAXPROCS=1) was measured once, in turns with the {ours} of "
    "then: the Go programs are no part of the project. "
)
WORKER: Final = (
    _MEASURED.format(ours="worker")
    + "Messages per core, ours ÷ it, at 0 and 15 ms (*mixed*, batches of 50): one goroutine a "
    "message, single calls: 7.9 and 8.4; our batching, decisions simplified: 0.95 and 1.09; the "
    "same, profile-guided, GOGC=400: 0.88 and 1.04. They have no leases, retries, metrics or "
    "strict validation."
)
INGEST: Final = (
    _MEASURED.format(ours="ingest")
    + "They have no retries, metrics, strict validation, access log or look at the event. In "
    "brackets: on a quiet machine, and the least and the greatest ratio."
)
INGEST_TABLE: Final = Table(
    "Beside Go, as measured then (256 clients, AWS calls take 0 ms)",
    ["", "per core", "CPU µs", "MiB", "ours ÷ it"],
    [
        ["ours, then", "3,961 (quiet: 4,143)", "252 (quiet: 241)", "110", "1"],
        ["Go, plain handler, three calls", "2,078", "481", "93", "1.85 (1.50–2.08)"],
        [
            "Go, coalescing (25/10/25 a call)",
            "11,692 (quiet: 13,324)",
            "86 (quiet: 75)",
            "34",
            "0.35 (quiet: 0.31)",
        ],
    ],
)
