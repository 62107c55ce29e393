"""`participation local up`: the whole pipeline with a first event, running until Ctrl-C."""

from collections.abc import Callable, Mapping
from pathlib import Path
from time import time
from typing import Any, Final

from ingest import tokens
from local import pipeline_stack
from local.pipeline_stack import PipelineStack
from local.programs import until_interrupted
from operations import events
from schema.items import EventConfig
from schema.states import EventType

_FIRST_EVENT: Final = "first"
_SEATS: Final = 100
_TOKEN_LIFE_S: Final = 86_400.0
_LOUD: Final = frozenset({"warning", "error", "critical"})
_SHOWN_OTHERWISE: Final = frozenset({"event", "level", "timestamp", "logger"})


async def run(directory: Path, show: Callable[[str], None], *, verbose: bool) -> None:
    """Run everything until Ctrl-C, its logs in `directory`; `show` prints a line.

    Of the programs' log lines it shows the worker's, and ingest's from warnings on; all of them
    with `verbose`. Raises LocalError.
    """

    def on_line(program: str, fields: Mapping[str, Any]) -> None:
        if verbose or program == "worker" or fields.get("level") in _LOUD:
            rest = (f"{k}={v}" for k, v in fields.items() if k not in _SHOWN_OTHERWISE)
            show(f"{program:>6} | {fields.get('event', '')} {' '.join(rest)}")

    async with pipeline_stack.running(
        directory, report=lambda step: show(f"{step} …"), listener=on_line
    ) as stack:
        event = EventConfig(event_id=_FIRST_EVENT, event_type=EventType.FIRST_COME)
        await events.create(stack.emulator.connection, stack.outputs.table_name, event, _SEATS)
        show(invitation(stack, _FIRST_EVENT))
        await until_interrupted()
        show("stopping: ingest answers, the worker drains, the lake gets the rest …")


def invitation(stack: PipelineStack, event_id: str) -> str:
    """Where everything is, and what to enter for a click."""
    token = tokens.issue(stack.jwt_secret, "alice", now_s=time(), expires_in_s=_TOKEN_LIFE_S)
    ingest = stack.ingest.url
    return f"""
ingest   {ingest}   ({ingest}/openapi.json)
worker   {stack.worker.url}/metrics
AWS      {stack.emulator.endpoint_url}   table {stack.outputs.table_name}
logs     {stack.worker.log_path.parent}

A token of the user alice, and a click to try:

export TOKEN={token}
curl -X POST -H "Authorization: Bearer $TOKEN" {ingest}/events/{event_id}/participations
curl -H "Authorization: Bearer $TOKEN" {ingest}/me/participations

Ctrl-C stops everything.
"""
