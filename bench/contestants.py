"""The programs that are measured: how each is started, and how much work it gets."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from schema.message import ParticipationMessage

_OURS: Final = "from cli.worker import worker; worker()"


class Job(StrEnum):
    """What a program does with a message."""

    PIPELINE = "decide, record, publish, delete"
    NO_OP = "receive and delete only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A program under measurement."""

    name: str
    about: str
    job: Job
    arguments: Callable[[int], Sequence[str]]
    """The interpreter's arguments for a batch size."""
    environment: Callable[[int], Mapping[str, str]] = field(default=lambda _: {})
    messages: int
    """How many make a run of a second or two."""
    messages_when_slow: int
    """The same, where each AWS call takes its time."""
    uses_batches: bool = False
    is_framework: bool = False
    """Runs in the frameworks' environment."""
    makes_own_messages: bool = False
    """Started with `send`, it queues one message in its own format."""
    floor: str = "floor (aioboto3)"
    """The bare loop over the same client, with which it is compared."""


def _module(name: str) -> Callable[[int], Sequence[str]]:
    return lambda _batch: ["-m", f"bench.peers.{name}"]


def _our_settings(batch: int) -> Mapping[str, str]:
    return {"BATCH_MAX_MESSAGES": str(batch), "HTTP_PORT": "0", "HTTP_HOST": "127.0.0.1"}


OURS: Final = Contestant(
    name="ours",
    about="the worker as it ships, at its default settings (but for the batch size)",
    job=Job.PIPELINE,
    arguments=lambda _batch: ["-c", _OURS],
    environment=_our_settings,
    messages=20_000,
    messages_when_slow=5_000,
    uses_batches=True,
    floor="floor (lean)",
)
OURS_ON_THE_SDK: Final = replace(
    OURS,
    name="ours (aioboto3)",
    about="the same with AWS_CLIENT=aioboto3",
    messages=5_000,
    environment=lambda batch: {**_our_settings(batch), "AWS_CLIENT": "aioboto3"},
    floor="floor (aioboto3)",
)


def _floor(client: str, messages: int) -> Contestant:
    return Contestant(
        name=f"floor ({client})",
        about=f"the same AWS calls in a bare loop without any logic, by {client}",
        job=Job.PIPELINE,
        arguments=lambda batch: (
            ["-m", "bench.peers.floor", "--client", client, "--batch", str(batch)]
        ),
        messages=messages,
        messages_when_slow=3_000,
        uses_batches=True,
        floor=f"floor ({client})",
    )


FLOOR: Final = _floor("lean", 20_000)
FLOOR_ON_THE_SDK: Final = _floor("aioboto3", 5_000)
NAIVE: Final = Contestant(
    name="naive",
    about="aioboto3, a coroutine per message, three updates, one event, one delete",
    job=Job.PIPELINE,
    arguments=_module("naive"),
    messages=600,
    messages_when_slow=600,
)
THREADS: Final = Contestant(
    name="threads",
    about="boto3 on 16 threads, the same steps",
    job=Job.PIPELINE,
    arguments=_module("threads"),
    messages=1_000,
    messages_when_slow=1_000,
)
OURS_NO_OP: Final = Contestant(
    name="ours, no-op",
    about="our receive and batched delete around nothing",
    job=Job.NO_OP,
    arguments=_module("ours_no_op"),
    environment=_our_settings,
    messages=40_000,
    messages_when_slow=10_000,
)
TASKIQ: Final = Contestant(
    name="taskiq",
    about="taskiq with taskiq-aio-sqs, an empty task, up to 100 concurrently",
    job=Job.NO_OP,
    arguments=_module("taskiq_worker"),
    messages=1_500,
    messages_when_slow=1_500,
    is_framework=True,
    makes_own_messages=True,
)
CELERY: Final = Contestant(
    name="celery",
    about="Celery over SQS, solo pool, an empty task",
    job=Job.NO_OP,
    arguments=_module("celery_worker"),
    messages=600,
    messages_when_slow=150,
    is_framework=True,
    makes_own_messages=True,
)
LOAFER: Final = Contestant(
    name="loafer-ng",
    about="loafer-ng, an empty handler; it builds an SDK client for every call",
    job=Job.NO_OP,
    arguments=_module("loafer_worker"),
    messages=30,
    messages_when_slow=30,
    is_framework=True,
)

PIPELINES: Final = (OURS, FLOOR, OURS_ON_THE_SDK, FLOOR_ON_THE_SDK, NAIVE, THREADS)
NO_OPS: Final = (OURS_NO_OP, TASKIQ, CELERY, LOAFER)

FOREIGN_BODY: Final = ParticipationMessage("r" * 36, "event-0", "user-0000001").encode()
"""What programs get that have no message format of their own."""


def interpreter(contestant: Contestant, peers_python: Path) -> str:
    """The Python that runs a contestant."""
    return str(peers_python) if contestant.is_framework else sys.executable
