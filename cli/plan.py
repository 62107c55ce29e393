"""`participation plan`: what an event needs of an AWS account, before anything is paid for."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.event_load import Rate, Seats, Seconds
from cli.output import AsJson, fail, write_json

if TYPE_CHECKING:
    from operations.plan import CapacityPlan


def plan(
    rate: Rate,
    seconds: Seconds,
    seats: Seats,
    region: Annotated[
        str, typer.Option(envvar="AWS_REGION", metavar="REGION", help="whose quotas apply")
    ],
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="a limit of the account as it is, named as in `simulate`; repeatable",
        ),
    ] = None,
    stack: Annotated[
        str, typer.Option(metavar="STACK", help="the pipeline's name, for the commands shown")
    ] = "participation",
    as_json: AsJson = False,
) -> None:
    """Plan an event: tasks, throughput, quotas, what binds first, dollars, and what to type.

    Asks AWS for nothing: it assumes the region's default quotas and a cold table, but for --limit.
    """
    from cli import plan_page
    from config import quotas
    from operations import plan as planning
    from operations.capacity import AccountLimits, EventLoad

    try:
        account = AccountLimits.of(region, quotas.parsed(limit or ()))
    except quotas.LimitError as error:
        fail(str(error), 2)
    made = planning.make(EventLoad(rate=rate, seconds=seconds, seats=seats), region, account, stack)
    if as_json:
        write_json(_document(made))
    else:
        plan_page.write(made)


def _document(plan: "CapacityPlan") -> dict[str, Any]:
    load, first = plan.load, plan.first
    limits = [
        _camel(asdict(one)) | {"usedUpAfterS": one.used_up_after_s(load)} for one in plan.ceilings
    ]
    soonest = plan.first_at_this_rate
    decisions, lake = plan.decisions_late, plan.lake_late
    return {
        "region": plan.region,
        **_camel(asdict(plan.needs)),
        "maxInFlight": plan.max_in_flight,
        "seatsASecond": plan.seats_a_second,
        "soldOutAfterS": plan.sold_out_after_s,
        "first": None if first is None else limits[0],
        "firstAtThisRate": None if soonest is None else soonest[0].limit,
        "limits": limits,
        "acceptedAtMost": plan.accepted_at_most,
        "decisionsLateS": 0.0 if decisions is None else decisions.seconds,
        "lakeLateS": 0.0 if lake is None else lake.seconds,
        "quotas": [_camel(asdict(ask)) for ask in plan.asks],
        "warmThroughput": [_camel(asdict(one)) for one in plan.warming],
        "costs": [_camel(asdict(cost)) for cost in plan.costs],
        "dollars": plan.dollars,
        "warmDollars": plan.warm_dollars,
        "commands": [" ".join(parts) for parts in plan.commands],
    }


def _camel(fields: dict[str, Any]) -> dict[str, Any]:
    """The same values under camelCase names."""
    return {_camel_name(name): value for name, value in fields.items()}


def _camel_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
