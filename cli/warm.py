"""`participation warm` and `cool`: capacity raised ahead of an event, and given back after it."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cli.deploy import StackName
from cli.event_load import Rate, Seats, Seconds, needs_of
from cli.output import AsJson, confirm, duration_s, fail, write_json, write_table
from cli.running import audited, connection_of, run_async
from config.settings import AwsSettings, load
from runtime.stop import ExitCode

if TYPE_CHECKING:
    from operations.warming.changes import Change


Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="only show what would be changed")]
Tasks = Annotated[int, typer.Option(min=1, max=1_000, metavar="N", help="least number of tasks")]


def warm(
    stack: StackName,
    rate: Rate,
    seconds: Seconds = 10,
    seats: Seats = 1_000,
    within: Annotated[
        int,
        typer.Option(parser=duration_s, metavar="TIME", help="how long to wait, such as 30m, 2h"),
    ] = "1h",  # type: ignore[assignment]  # parsed, as what is typed
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Raise warm throughput, least numbers of tasks and the load balancer's reservation.

    Shows what it will change and what that costs, asks, changes the stacks' parameters, and waits
    until all is there. Nothing is lowered. Exit code 1 where something is not there in time.
    """
    from operations.warming import run

    needs, settings = needs_of(rate, seconds, seats), load(AwsSettings)
    connection = connection_of(settings)
    look = f"`participation preflight --stack {stack} --rate {rate:.12g}` shows how far it is"
    with _ends_in_a_sentence("nothing has been changed"):
        changes = run_async(run.warmer, connection, stack, needs)
    shown = _Shown(stack, changes, as_json)
    if not shown.is_agreed(dry_run=dry_run, yes=yes):
        return
    _audit(settings, "warming", stack, changes)
    with _ends_in_a_sentence(f"AWS goes on with what it was asked for: {look}"):
        missing = run_async(run.warm, connection, stack, changes, needs, within, _report)
    shown.end(is_changed=bool(changes), missing=missing)
    if missing:
        fail(f"not there within {within} s: {'; '.join(missing)}; AWS goes on, and {look}")
    _report(f"{stack} is ready; `participation cool --stack {stack}` gives back what is paid for")


def cool(
    stack: StackName,
    worker_tasks: Tasks = 2,
    ingest_tasks: Tasks = 2,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Lower the least numbers of tasks again, and give the load balancer's reservation back.

    Warm throughput stays, as AWS never lowers it; it costs nothing to keep. AWS lowers a
    reservation twice a day at most.
    """
    from operations.warming import run

    settings = load(AwsSettings)
    connection = connection_of(settings)
    with _ends_in_a_sentence("nothing has been changed"):
        changes = run_async(run.cooler, connection, stack, worker_tasks, ingest_tasks)
    shown = _Shown(stack, changes, as_json)
    if not shown.is_agreed(dry_run=dry_run, yes=yes):
        return
    _audit(settings, "cooling", stack, changes)
    with _ends_in_a_sentence(
        "AWS goes on with what it was asked for; run it again to see what is left"
    ):
        run_async(run.cool, connection, stack, changes, _report)
    shown.end(is_changed=bool(changes))
    _report(f"{stack} is at rest; its warm throughput stays, and costs nothing")


@dataclass(frozen=True, slots=True)
class _Shown:
    """The changes, as a table before they are made, or as one document after that."""

    stack: str
    changes: "Sequence[Change]"
    as_json: bool

    def is_agreed(self, *, dry_run: bool, yes: bool) -> bool:
        """Show the table and ask; false on a dry run. Ends the command where the answer is no."""
        if not self.as_json:
            self._write_table()
        if dry_run:
            self.end(is_changed=False)
            return False
        if self.changes and not yes:
            confirm(f"Change this for {self.price}?")
        return True

    def _write_table(self) -> None:
        if not self.changes:
            typer.echo("nothing to change")
            return
        rows = [
            (c.what, c.parameter, c.before or "-", c.after or "-", *_prices(c))
            for c in self.changes
        ]
        write_table([("WHAT", "PARAMETER", "FROM", "TO", "USD ONCE", "USD/H"), *rows])
        typer.echo(f"{self.price} (us-east-1)")

    @property
    def price(self) -> str:
        """What all changes cost together."""
        return f"{self._once:,.2f} USD once, {self._hourly:+,.2f} USD an hour"

    @property
    def _once(self) -> float:
        return sum(change.dollars_once for change in self.changes)

    @property
    def _hourly(self) -> float:
        return sum(change.dollars_an_hour for change in self.changes)

    def end(self, *, is_changed: bool, missing: Sequence[str] = ()) -> None:
        """Write the document, with what is not there yet."""
        if not self.as_json:
            return
        changes = [
            {
                "parameter": change.parameter,
                "what": change.what,
                "before": change.before,
                "after": change.after,
                "dollarsOnce": change.dollars_once,
                "dollarsAnHour": change.dollars_an_hour,
            }
            for change in self.changes
        ]
        write_json(
            {
                "stack": self.stack,
                "changes": changes,
                "dollarsOnce": self._once,
                "dollarsAnHour": self._hourly,
                "isChanged": is_changed,
                "missing": missing,
            }
        )


def _prices(change: "Change") -> tuple[str, str]:
    once = f"{change.dollars_once:,.2f}" if change.dollars_once else "-"
    return once, f"{change.dollars_an_hour:+,.2f}" if change.dollars_an_hour else "-"


def _audit(settings: AwsSettings, event: str, stack: str, changes: "Sequence[Change]") -> None:
    if not changes:
        return
    given = {change.parameter: f"{change.before} -> {change.after}" for change in changes}
    audited(settings, event, stack=stack, changes=given)


@contextmanager
def _ends_in_a_sentence(interrupted: str) -> Iterator[None]:
    """What went wrong is one sentence and exit code 1; Ctrl-C says what is under way."""
    from aws import permissions
    from operations.stacks import StackError

    try:
        yield
    except StackError as error:
        fail(permissions.sentence(error))
    except KeyboardInterrupt:
        fail(f"interrupted; {interrupted}", ExitCode.INTERRUPTED)


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")
