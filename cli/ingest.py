"""`participation ingest` and `participation token`: the HTTP service, and tokens to try it."""

import sys
import time
from typing import Annotated

import typer

from cli.output import AsJson, duration_s, write_json
from cli.running import connection_of, log_as_program, run_async
from config.settings import IngestSettings, TokenSettings, load


def ingest() -> None:
    """Accept clicks over HTTP until SIGTERM or Ctrl-C, then answer what was accepted.

    Settings come from the environment (`participation config ingest` lists them). Exit codes:
    0 everything answered, 1 SHUTDOWN_TIMEOUT_S ran out first, 2 it cannot run, 70 it crashed,
    130 a second signal.
    """
    from ingest import server

    settings = load(IngestSettings)
    log_as_program(settings)
    sys.exit(int(run_async(server.run, settings, connection_of(settings))))


def token(
    user: Annotated[str, typer.Option(metavar="USER", help="whom the token names")],
    expires_in_s: Annotated[
        int,
        typer.Option(
            "--expires-in",
            parser=duration_s,
            metavar="DURATION",
            help="how long it is valid, such as 90s, 15m, 1h, 7d",
        ),
    ] = "1h",  # type: ignore[assignment]  # the parser reads the default as well
    as_json: AsJson = False,
) -> None:
    """Make a development token with JWT_SECRET; without that setting none can be made."""
    from ingest import tokens

    settings = load(TokenSettings)
    now_s = time.time()
    try:
        text = tokens.issue(
            settings.jwt_secret.get_secret_value(),
            user,
            now_s=now_s,
            expires_in_s=expires_in_s,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--user") from error
    if as_json:
        write_json({"token": text, "user": user, "expiresAt": (int(now_s) + expires_in_s) * 1000})
        return
    typer.echo(text)
