"""`participation preflight`: the plan of an event against the account and the deployment."""

import sys
from collections import Counter
from collections.abc import Sequence
from os import environ
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.deploy import StackName
from cli.event_load import Rate, Seats, Seconds, needs_of
from cli.output import AsJson, fail, write_json
from cli.running import connection_of, run_async
from config.settings import AwsSettings, TokenSettings, load
from runtime.stop import ExitCode

if TYPE_CHECKING:
    from operations.needs import Needs
    from operations.preflight.findings import Finding


def preflight(
    stack: StackName,
    rate: Rate,
    seconds: Seconds = 10,
    seats: Seats = 1_000,
    ingest_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="where users reach ingest; default: the deployed load balancer"
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="SMOKE_TOKEN",
            metavar="JWT",
            help="a user's token to try; default: one made with JWT_SECRET, where that is set",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare what an event needs with quotas, warm throughput, tasks, alarms and queues.

    Each line is red (the event would suffer), yellow (not known, or nobody waits for it) or green,
    with the command that changes it. It changes nothing itself. Exit code 1 where a line is red.
    """
    from operations.preflight.findings import Colour, worst
    from operations.preflight.run import preflight as compare
    from operations.smoke import issue_token
    from operations.stacks import StackError

    settings, needs = load(AwsSettings), needs_of(rate, seconds, seats)
    if token is None and environ.get("JWT_SECRET"):
        token = issue_token(load(TokenSettings))
    try:
        found = run_async(
            lambda: compare(
                connection_of(settings), stack, needs, token=token, ingest_url=ingest_url
            )
        )
    except StackError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; nothing has been changed", ExitCode.INTERRUPTED)
    if as_json:
        write_json(_document(stack, needs, found))
    else:
        _write(found)
    sys.exit(1 if worst(found) is Colour.RED else 0)


def _write(found: "Sequence[Finding]") -> None:
    """A line for each finding, and below it what is needed and the command, whole to copy."""
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    width = max(len(finding.check) for finding in found)
    for finding in found:
        colour = finding.colour.value
        line = Text(f"{colour:<7}", style=colour)
        line.append(f"{finding.check:<{width}}  {finding.found}", style="default")
        if finding.needed:
            line.append(f" (needed: {finding.needed})", style="default")
        console.print(line)
        if finding.change:
            console.print(Text(f"{'':<{width + 9}}{finding.change}", style="dim"))
    counts = Counter(finding.colour.value for finding in found)
    console.print(", ".join(f"{counts[colour]} {colour}" for colour in ("red", "yellow", "green")))


def _document(stack: str, needs: "Needs", found: "Sequence[Finding]") -> dict[str, Any]:
    return {
        "stack": stack,
        "rate": needs.rate,
        "seconds": needs.seconds,
        "seats": needs.seats,
        "findings": [
            {
                "check": one.check,
                "colour": one.colour.value,
                "found": one.found,
                "needed": one.needed or None,
                "change": one.change or None,
            }
            for one in found
        ],
    }
