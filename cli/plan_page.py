"""The page of a plan: 80 columns of text, a unit beside each number."""

import sys
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Final

from cli.output import write_table
from config.limits import SQS_IN_FLIGHT_MESSAGES
from operations import tasks
from operations.capacity import Effect
from operations.plan import CapacityPlan

_COLUMNS: Final = 80
_EXACT_BELOW_S: Final = 10.0
_INDENT: Final = "  "
_MEANS: Final = {
    Effect.CLICKS_REFUSED: "clicks get 503",
    Effect.DECISIONS_LATE: "decisions late",
    Effect.LAKE_LATE: "lake late",
}


def write(plan: CapacityPlan) -> None:
    """Write the plan to standard output."""
    load = plan.load
    people = f"{load.requests:,.0f} people, {load.seats:,} seats, {plan.region}"
    _lines(
        *wrap(f"{_number(load.rate)} clicks/s for {_number(load.seconds)} s: {people}", _COLUMNS)
    )
    _heading("What binds, with the account as it is")
    for sentence in _consequences(plan):
        _wrapped(sentence)
    write_table(_ceilings(plan))
    _heading("What to arrange, so that nothing binds")
    _rows(_arrangements(plan))
    if plan.asks:
        _heading("Quotas to ask AWS for (days before)")
        _rows([(a.quota, f"{a.needed:,.0f}", f"now {a.available:,.0f}") for a in plan.asks])
    _heading("Dollars (us-east-1, list prices)")
    _rows([(c.what, f"{c.count:,.0f}", f"$ {c.dollars:,.2f}") for c in plan.costs])
    _rows([("the event, with an hour of tasks", "", f"$ {plan.dollars:,.2f}")])
    _rows([("warm throughput, once", "", f"$ {plan.warm_dollars:,.2f}")])
    _heading("What to type")
    for parts in plan.commands:
        _lines(*_folded(parts))
    _heading("What is assumed")
    for sentence in _assumptions():
        _wrapped(sentence)


def _consequences(plan: CapacityPlan) -> Iterator[str]:
    load, first = plan.load, plan.first
    if first is None:
        yield "No limit is known: all are switched off."
        return
    reached = [one for one in plan.ceilings if one.is_reached(load)]
    does = "bind" if reached else "would bind"
    yield f"As clicks grow, {first.what} {does} first: at {first.reached_at:,.0f} clicks/s."
    if not reached:
        yield f"Nothing binds at {_number(load.rate)} clicks/s."
    if (soonest := plan.first_at_this_rate) is not None:
        one, after_s = soonest
        yield (
            f"At {_number(load.rate)} clicks/s {one.what} are used up first: after "
            f"{_duration(after_s)}."
        )
    refusing = next((one for one in reached if one.effect is Effect.CLICKS_REFUSED), None)
    if refusing is not None:
        yield (
            f"Of {_number(load.rate)} clicks/s {refusing.reached_at:,.0f} to "
            f"{plan.accepted_at_most:,.0f} are accepted ({refusing.what}); the others get 503 and "
            "have to click again."
        )
    if (late := plan.decisions_late) is not None:
        yield (
            f"The last decision comes {_duration(late.seconds)} after the last click "
            f"({late.ceiling.what})."
        )
    if (late := plan.lake_late) is not None:
        condition = "" if refusing is None else ", once all clicks are accepted"
        yield (
            f"The lake has the last event {_duration(late.seconds)} after the last click "
            f"({late.ceiling.what}){condition}."
        )


def _ceilings(plan: CapacityPlan) -> list[tuple[str, ...]]:
    rows = [
        (
            f"{_INDENT}{one.what}{'' if one.what.endswith('flight') else '/s'}",
            f"{one.available:,.0f}",
            f"{one.needed:,.0f}",
            f"{one.reached_at:,.0f}",
            f"! {_MEANS[one.effect]}" if one.is_reached(plan.load) else "",
        )
        for one in plan.ceilings
    ]
    rows.insert(0, (f"{_INDENT}limit", "there", "needed", "at clicks/s", ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numbers = range(1, 4)
    return [
        tuple(
            cell.rjust(width) if at in numbers else cell
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _arrangements(plan: CapacityPlan) -> list[tuple[str, str, str]]:
    needs = plan.needs
    rows = [
        ("ingest tasks", f"{needs.ingest_tasks:,}", f"{tasks.INGEST_PER_S:,.0f} clicks/s each"),
        ("worker tasks", f"{needs.worker_tasks:,}", f"{tasks.WORKER_PER_S:,.0f} messages/s each"),
        ("Fargate", f"{needs.vcpus:,g} vCPU", "1 a task"),
        ("load balancer, reserved", f"{needs.load_balancer_units:,} LCU", "25 connections/s each"),
        *(
            (f"warm {one.what}", f"{one.needed:,.0f} units/s", f"now {one.available:,.0f}")
            for one in plan.warming
            if one.needed > one.available
        ),
        (
            "MAX_IN_FLIGHT of a worker",
            f"{plan.max_in_flight:,}",
            f"{needs.in_flight_messages:,} of {SQS_IN_FLIGHT_MESSAGES:,} in all",
        ),
    ]
    sells = f"{plan.seats_a_second:,.0f} seats/s at most"
    if plan.sold_out_after_s is None:
        rows.append(("sold out", "never", "there are more seats"))
    else:
        rows.append(("sold out", f"after {_duration(plan.sold_out_after_s)}", sells))
    return rows


def _assumptions() -> Iterator[str]:
    click_us = (tasks.CLICK_S + tasks.CALLS_A_CLICK * tasks.CALL_S) * 1e6
    message_us = (tasks.MESSAGE_S + tasks.CALLS_A_MESSAGE * tasks.CALL_S) * 1e6
    yield (
        f"A click takes {click_us:.0f} µs and a message {message_us:.0f} µs of {tasks.CORE}. "
        f"Margins: a vCPU does {tasks.VCPU:.0%} of that core, a task is {tasks.BUSY:.0%} busy, "
        f"and no worker decides more than {tasks.SLOW_CALLS_PER_S:,} messages/s."
    )
    yield (
        "Limits have no margin: give the rate of the busiest second. AWS has the last word; "
        "`participation preflight` asks it."
    )


def _rows(rows: Sequence[tuple[str, str, str]]) -> None:
    for what, number, about in rows:
        _lines(f"{_INDENT}{what:<32}{number:>18}  {about}".rstrip())


def _folded(parts: Sequence[str]) -> list[str]:
    """A command over several lines, as a shell takes it."""
    lines = [_INDENT + parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) + 3 <= _COLUMNS:
            lines[-1] += f" {part}"
        else:
            lines[-1] += " \\"
            lines.append(f"{_INDENT}{_INDENT}{part}")
    return lines


def _heading(text: str) -> None:
    _lines("", text)


def _wrapped(text: str) -> None:
    _lines(*wrap(text, _COLUMNS, initial_indent=_INDENT, subsequent_indent=_INDENT))


def _lines(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:,}"


def _duration(seconds: float) -> str:
    if seconds < _EXACT_BELOW_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"
