"""`participation ingest` and `participation token`: the HTTP service, and tokens to try it."""

import re
import sys
import time
from typing import Annotated

import typer

from cli.running import connection_of, run_async
from config import logs
from config.settings import IngestSettings, TokenSettings, load

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def ingest() -> None:
    """Accept clicks over HTTP until SIGTERM or Ctrl-C, then answer what was accepted.

    Settings come from the environment (`participation config ingest` lists them). Exit codes:
    0 everything answered, 1 SHUTDOWN_TIMEOUT_S ran out first, 2 it cannot run, 70 it crashed,
    130 a second signal.
    """
    from ingest import server

    settings = load(IngestSettings)
    logs.write_in_background()
    logs.configure(settings.log_level, settings.log_format)
    sys.exit(int(run_async(server.run, settings, connection_of(settings))))


def token(
    user: Annotated[str, typer.Option(help="whom the token names")],
    expires_in: Annotated[str, typer.Option(help="how long it is valid: 90s, 15m, 1h, 7d")] = "1h",
) -> None:
    """Make a development token with JWT_SECRET; without that setting none can be made."""
    from ingest import tokens

    settings = load(TokenSettings)
    match = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", expires_in)
    if match is None:
        raise typer.BadParameter(
            "give a number and a unit, such as 90s, 15m, 1h or 7d", param_hint="--expires-in"
        )
    try:
        text = tokens.issue(
            settings.jwt_secret.get_secret_value(),
            user,
            now_s=time.time(),
            expires_in_s=int(match[1]) * _UNITS[match[2]],
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--user") from error
    typer.echo(text)
