"""The command line: mounts each module's commands; heavy imports wait until one runs."""

import sys
from typing import Final

import typer

from aws import permissions
from aws.errors import AwsError
from cli import (
    config,
    deploy,
    dlq,
    event_changes,
    events,
    ingest,
    lake,
    load,
    local,
    plan,
    preflight,
    rehearse,
    requests,
    simulate,
    status,
    tree,
    warm,
    winners,
    worker,
)
from config.settings import SettingsError

_LOCAL_EXTRA: Final = frozenset({"duckdb", "jinja2", "jsonschema", "pytz", "sqlglot"})
"""What the image on AWS goes without: the embedded lake engine, the report, the demo."""

app = typer.Typer(
    name="participation",
    help="Takes in a flash event's burst of requests and decides each exactly once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.callback()(tree.root)
app.command("worker")(worker.worker)
app.command("ingest")(ingest.ingest)
app.command("token")(ingest.token)
app.command("demo")(local.demo)
app.command("simulate", help=simulate.HELP)(simulate.simulate)
app.command("plan")(plan.plan)
app.command("preflight")(preflight.preflight)
app.command("warm")(warm.warm)
app.command("cool")(warm.cool)
app.command("status")(status.status)
app.command("load")(load.load)
app.command("rehearse")(rehearse.rehearse)
app.command("config")(config.config)
app.command("deploy")(deploy.deploy)
app.command("env")(deploy.env)
app.command("smoke")(deploy.smoke)
app.command("teardown")(deploy.teardown)
events.app.command("close")(event_changes.close)
events.app.command("open")(event_changes.open_event)
events.app.command("reschedule")(event_changes.reschedule)
events.app.command("add-seats")(event_changes.add_seats)
events.app.command("winners")(winners.winners)
app.add_typer(local.app, name="local")
app.add_typer(events.app, name="events")
app.add_typer(requests.app, name="requests")
app.add_typer(dlq.app, name="dlq")
app.add_typer(lake.app, name="lake")


def main() -> None:
    """Run the command line; a foreseen error is one sentence, not a traceback."""
    command = tree.of(app)
    tree.warn_of_near_misses(command)
    try:
        command(prog_name="participation")
    except SettingsError as error:
        sys.stderr.write(f"participation: {error}\n")
        sys.exit(2)
    except AwsError as error:
        sys.stderr.write(f"participation: {permissions.sentence(error)}\n")
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name not in _LOCAL_EXTRA:
            raise
        sys.stderr.write(
            f"participation: this command needs {error.name}, of the extra `local`: "
            "pip install '.[local]' in a checkout\n"
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
