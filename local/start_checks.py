"""What would keep the local pipeline from starting, found before anything is started."""

import os
import socket
from typing import Final

from config.settings import IngestSettings, SettingsError, WorkerSettings, load

PORTS: Final = ("WORKER_HTTP_PORT", "INGEST_HTTP_PORT", "LIVE_HTTP_PORT")
_HOST: Final = "127.0.0.1"
_MAX_PORT: Final = 65_535
_PENDING: Final = {
    "aws_region": "pending",
    "aws_endpoint_url": None,
    "table_name": "pending",
    "queue_url": "pending",
    "dlq_url": "pending",
    "lost_events_queue_url": None,
    "event_bus_name": "pending",
    "http_port": 0,
}
"""What the local pipeline itself sets, later."""


def check(jwt_secret: str) -> None:
    """Check the settings that the programs will find, and their ports; raises SettingsError."""
    load(WorkerSettings, **_PENDING)
    own = {"jwt_secret": jwt_secret, "jwks_url": None, "jwt_audience": None, "jwt_issuer": None}
    load(IngestSettings, **_PENDING, **own)
    ports = {variable: os.environ.get(variable) or "0" for variable in PORTS}
    for variable, value in ports.items():
        _check_port(variable, value)
    if len(set(ports.values()) - {"0"}) < sum(value != "0" for value in ports.values()):
        raise SettingsError(f"two of {', '.join(PORTS)} name the same port; choose another for one")


def _check_port(variable: str, value: str) -> None:
    if not (value.isascii() and value.isdecimal() and int(value) <= _MAX_PORT):
        raise SettingsError(f"{variable}={value!r} is not a port from 1 to {_MAX_PORT}, or 0: any")
    with socket.socket() as listener:
        # As the programs do: a connection that has just ended does not keep a port taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, int(value)))
        except OSError as error:
            raise SettingsError(
                f"{variable}={value}: {_HOST} has no such port for us ({error.strerror}); "
                "choose another, or 0: any"
            ) from error
