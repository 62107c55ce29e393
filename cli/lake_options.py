"""The options that the lake's commands share, and how mistakes in them are reported."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from analytics.engine import LakeError
from analytics.parameters import ParameterError, Parameters
from analytics.sources import EngineName, Source
from analytics.statements import StatementError
from aws import permissions
from aws.errors import AwsError

FAILED: Final = 2
"""The exit code where a question could not be answered."""

messages: Final = Console(stderr=True, highlight=False)

_Command = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about."""

    days: tuple[date, date] | None
    event_id: str | None
    capacity: int | None

    def over(self, days: tuple[date, date]) -> Parameters:
        """The question about certain days."""
        return Parameters(
            dt_from=days[0], dt_to=days[1], event_id=self.event_id, capacity=self.capacity
        )


def _source(
    *,
    context: typer.Context,
    engine: Annotated[
        EngineName,
        typer.Option(envvar="LAKE_ENGINE", help="who answers; local: DuckDB, on this machine"),
    ] = EngineName.LOCAL,
    lake_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="LAKE_DIR", metavar="FOLDER", help="local: read it; has events/dt=…/hour=…/"
        ),
    ] = None,
    bucket: Annotated[
        str | None,
        typer.Option(
            envvar="LAKE_BUCKET", metavar="NAME", help="the lake's bucket; local, typed: fetch it"
        ),
    ] = None,
    database: Annotated[
        str, typer.Option(envvar="LAKE_DATABASE", metavar="NAME", help="athena: its database")
    ] = "default",
    workgroup: Annotated[
        str, typer.Option(envvar="ATHENA_WORKGROUP", metavar="NAME", help="athena: its workgroup")
    ] = "primary",
    output: Annotated[
        str | None,
        typer.Option(
            envvar="ATHENA_OUTPUT",
            metavar="S3-URL",
            help="athena: s3://… for results, if the workgroup has none",
        ),
    ] = None,
    projected: Annotated[
        bool, typer.Option("--projected", help="athena: read the partition-projected table")
    ] = False,
    region: Annotated[
        str | None,
        typer.Option(envvar="AWS_REGION", metavar="REGION", help="such as ap-northeast-2"),
    ] = None,
    endpoint_url: Annotated[
        str | None,
        typer.Option(envvar="AWS_ENDPOINT_URL", metavar="URL", help="to call instead of AWS's own"),
    ] = None,
) -> Source:
    # What the environment says stands back behind what is typed, and fetches nothing.
    fetches = _is_typed(context, "bucket")
    return Source(
        engine=engine,
        lake_dir=None if fetches and not _is_typed(context, "lake_dir") else lake_dir,
        bucket=bucket,
        fetches=fetches,
        database=database,
        workgroup=workgroup,
        output=output,
        projected=projected,
        region=region,
        endpoint_url=endpoint_url,
    )


def _is_typed(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def _question(
    *,
    first: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DAY", help="first day (UTC), as 2026-01-04; local: all days"
        ),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", metavar="DAY", help="last day (UTC), included; default: the first"),
    ] = None,
    event_id: Annotated[
        str | None, typer.Option("--event", metavar="EVENT", help="one event's id")
    ] = None,
    capacity: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="SEATS",
            help="the event's seats, to check that no more are given",
        ),
    ] = None,
) -> Question:
    if first is None and last is not None:
        raise ParameterError("--to needs --from")
    days = None if first is None else (as_day(first), as_day(last or first))
    return Question(days=days, event_id=event_id, capacity=capacity)


_GROUPS: Final[dict[Any, Callable[..., Any]]] = {Source: _source, Question: _question}


def with_options(command: _Command) -> _Command:
    """Replace a command's Source and Question by the options that make them up.

    Typer reads a signature; writing thirteen options into each command would hide what it does.
    """
    groups = {
        name: _GROUPS[parameter.annotation]
        for name, parameter in inspect.signature(command).parameters.items()
        if parameter.annotation in _GROUPS
    }
    own = [p for n, p in inspect.signature(command).parameters.items() if n not in groups]
    grouped = [p for make in groups.values() for p in inspect.signature(make).parameters.values()]

    def with_groups(**given: Any) -> None:
        with shown_to_the_operator():
            made = {
                name: make(
                    **{option: given.pop(option) for option in inspect.signature(make).parameters}
                )
                for name, make in groups.items()
            }
            command(**given, **made)

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *grouped)]
    with_groups.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_groups.__annotations__ = {p.name: p.annotation for p in parameters}
    with_groups.__doc__ = command.__doc__
    with_groups.__name__ = command.__name__
    return with_groups


@contextmanager
def shown_to_the_operator() -> Iterator[None]:
    """End with a message, not a traceback, where the lake or the question is at fault."""
    try:
        yield
    except (LakeError, StatementError, ParameterError, AwsError) as error:
        message = permissions.sentence(error)
        messages.print(f"participation: {message}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(FAILED) from None


def as_day(text: str) -> date:
    """Read a day as typed; raises ParameterError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ParameterError(f"{text!r} is not a day such as 2026-01-04") from None
