"""How `participation status` shows a pipeline: as a page, and as a JSON document."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.output import iso
from operations.account.facts import Alarm, Route
from operations.status import ServiceState, Status
from runtime.program import epoch_ms

_LABELS: Final = {
    "requests": "requests",
    "deadLetters": "dead letters",
    "lostEvents": "lost events",
    "undeliveredEvents": "undelivered events",
}
T = TypeVar("T")
_Row = Sequence[str | Text]


def page(stack: str | None, status: Status) -> RenderableType:
    """One screen; what is bad is red, what is not known yellow."""
    ages = status.oldest_ages_s
    return Group(
        Text(f"{stack or 'pipeline'}  {iso(epoch_ms())}\n", style="bold"),
        _table(("queue", "waiting", "in flight", "delayed", "oldest"), _queues(status)),
        *([_unknown(f"oldest: {ages}")] if isinstance(ages, str) else []),
        "",
        _services(status.services),
        "",
        _alarms(status.alarms),
        "",
        _route(status),
    )


def _table(heading: Sequence[str], rows: Iterable[_Row]) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim", pad_edge=False)
    for number, name in enumerate(heading):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _unknown(sentence: str) -> Text:
    return Text(sentence, style="yellow")


def _queues(status: Status) -> Iterator[_Row]:
    ages = _known_ages(status)
    for name, depth in status.queues.items():
        label = _LABELS[name]
        if isinstance(depth, str):
            yield _unknown(f"{label}: {depth}"), "?", "?", "?", "?"
            continue
        is_bad = name != "requests" and depth.total > 0
        age = f"{ages[name]:,.0f} s" if name in ages else "-"
        counts = (f"{depth.waiting:,}", f"{depth.in_flight:,}", f"{depth.delayed:,}")
        yield Text(label, style="red" if is_bad else ""), *counts, age


def _services(services: Mapping[str, ServiceState] | str) -> RenderableType:
    if isinstance(services, str):
        return _unknown(f"tasks: {services}")
    return _table(("tasks", "running", "wanted", "pending", "least", "most"), _tasks(services))


def _tasks(services: Mapping[str, ServiceState]) -> Iterator[_Row]:
    for program, state in services.items():
        tasks, scaling = state.tasks, state.scaling
        style = "red" if tasks.running < tasks.wanted else ""
        bounds = ("-", "-") if scaling is None else (f"{scaling.minimum:,}", f"{scaling.maximum:,}")
        counts = (f"{tasks.running:,}", f"{tasks.wanted:,}", f"{tasks.pending:,}")
        yield Text(program, style=style), *counts, *bounds


def _alarms(alarms: Sequence[Alarm] | str) -> RenderableType:
    if isinstance(alarms, str):
        return _unknown(f"alarms: {alarms}")
    ringing = _ringing(alarms)
    if not ringing:
        return Text(f"alarms: none of {len(alarms)} rings")
    lines = [Text(f"alarm {alarm.name}: {alarm.reason}", style="red") for alarm in ringing]
    return Group(*lines)


def _route(status: Status) -> RenderableType:
    route = status.route
    if isinstance(route, str):
        return _unknown(f"bus and rule: {route}")
    style = "" if route.rule_state == "ENABLED" else "red"
    return Text(f"bus {route.bus_name}, rule {route.rule_name}: {route.rule_state}", style=style)


def _ringing(alarms: Sequence[Alarm]) -> list[Alarm]:
    return [alarm for alarm in alarms if alarm.state == "ALARM"]


def _known_ages(status: Status) -> Mapping[str, float]:
    return {} if isinstance(status.oldest_ages_s, str) else status.oldest_ages_s


def document(status: Status) -> dict[str, Any]:
    """With stable keys; `error` has the sentence for what could not be read."""
    return {
        "at": epoch_ms(),
        "queues": dict(_queue_documents(status)),
        "tasks": _or_error(status.services, _task_documents),
        "alarms": _or_error(status.alarms, _alarm_document),
        "route": _or_error(status.route, _route_document),
    }


def _or_error(part: T | str, shown: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    return {"error": part} if isinstance(part, str) else shown(part)


def _route_document(route: Route) -> dict[str, Any]:
    return {"bus": route.bus_name, "rule": route.rule_name, "state": route.rule_state}


def _queue_documents(status: Status) -> Iterator[tuple[str, dict[str, Any]]]:
    ages = _known_ages(status)
    for name, depth in status.queues.items():
        if isinstance(depth, str):
            yield name, {"error": depth}
        else:
            counts = {
                "waiting": depth.waiting,
                "inFlight": depth.in_flight,
                "delayed": depth.delayed,
            }
            yield name, {**counts, "oldestAgeS": ages.get(name)}


def _task_documents(services: Mapping[str, ServiceState]) -> dict[str, Any]:
    return {
        program: {
            "running": state.tasks.running,
            "wanted": state.tasks.wanted,
            "pending": state.tasks.pending,
            "least": None if state.scaling is None else state.scaling.minimum,
            "most": None if state.scaling is None else state.scaling.maximum,
        }
        for program, state in services.items()
    }


def _alarm_document(alarms: Sequence[Alarm]) -> dict[str, Any]:
    ringing = [{"name": alarm.name, "reason": alarm.reason} for alarm in _ringing(alarms)]
    return {"ringing": ringing, "count": len(alarms)}
