"""The embedded AWS: MiniStack as a subprocess on loopback that ends with its parent."""

import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Final

import anyio
import httpx
from anyio import to_thread
from anyio.abc import Process

from aws.client import Connection
from local.emulator import environment
from local.errors import LocalError

DEFAULT_REGION: Final = "ap-northeast-2"
ACCESS_KEY: Final = "test"
"""Both halves of the key pair; the emulator accepts any."""

_HOST: Final = "127.0.0.1"
_BACKLOG: Final = 1024
_POLL_S: Final = 0.02
_STOP_WITHIN_S: Final = 5.0
_LOG_TAIL_LINES: Final = 5


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running embedded AWS."""

    connection: Connection
    pid: int
    log_path: Path

    @property
    def endpoint_url(self) -> str:
        """Where it listens; all services share the address."""
        assert self.connection.endpoint_url is not None  # noqa: S101 - running() always sets it
        return self.connection.endpoint_url


@asynccontextmanager
async def running(
    directory: Path | None = None,
    *,
    region: str = DEFAULT_REGION,
    ready_within_s: float = 30.0,
    python: Path | None = None,
) -> AsyncIterator[Emulator]:
    """Run the embedded AWS until the block ends, on 127.0.0.1 and a free port.

    `directory` takes its log and its scratch files (default: a temporary one, removed at the end).
    `python` is the interpreter of an environment that has MiniStack; by default the first use
    makes one. Raises LocalError.
    """
    python = python or await environment.ensure_python()
    async with AsyncExitStack() as cleanup:
        if directory is None:
            directory = Path(
                cleanup.enter_context(tempfile.TemporaryDirectory(prefix="ministack-"))
            )
        log_path = directory / "ministack.log"
        listener = cleanup.enter_context(closing(_listen()))
        port = listener.getsockname()[1]
        process = await cleanup.enter_async_context(
            _process(python, listener, _environment(directory, port, region), log_path)
        )
        listener.close()
        emulator = Emulator(
            Connection(region, f"http://{_HOST}:{port}", ACCESS_KEY, ACCESS_KEY),
            process.pid,
            log_path,
        )
        await _wait_until_ready(emulator, lambda: process.returncode, ready_within_s)
        yield emulator


def _listen() -> socket.socket:
    """Open the listening socket here: nobody else can take the port any more."""
    listener = socket.socket()
    try:
        listener.bind((_HOST, 0))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise LocalError(f"no free port on {_HOST} for the embedded AWS: {error}") from error
    return listener


def _environment(directory: Path, port: int, region: str) -> dict[str, str]:
    """Hand over nothing of ours: AWS_* variables would reach the emulator's own clients."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "TMPDIR": str(directory),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": _HOST,
        "MINISTACK_HOST": _HOST,
        "MINISTACK_REGION": region,
        "LOG_LEVEL": "WARNING",
        # Both listen on all interfaces.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }


@asynccontextmanager
async def _process(
    python: Path, listener: socket.socket, environment: dict[str, str], log_path: Path
) -> AsyncIterator[Process]:
    script = Path(__file__).with_name("server.py")
    with log_path.open("wb") as log:
        process = await anyio.open_process(
            [str(python), "-I", str(script), str(listener.fileno())],
            # Closes when this process ends, even by SIGKILL; the script then ends as well.
            stdin=PIPE,
            stdout=log,
            stderr=STDOUT,
            env=environment,
            pass_fds=[listener.fileno()],
            # The terminal's Ctrl-C must reach our own programs only, which still need it.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        with anyio.move_on_after(_STOP_WITHIN_S):
            await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()


async def _wait_until_ready(
    emulator: Emulator, exit_code: Callable[[], int | None], within_s: float
) -> None:
    async with httpx.AsyncClient(
        base_url=emulator.endpoint_url, trust_env=False, timeout=within_s
    ) as client:
        with anyio.move_on_after(within_s):
            while exit_code() is None:
                try:
                    response = await client.get("/_ministack/health")
                except httpx.TransportError:
                    response = None
                if response is not None and response.is_success:
                    return
                await anyio.sleep(_POLL_S)
    state = f"was not ready within {within_s:g} s" if exit_code() is None else "ended immediately"
    tail = await to_thread.run_sync(_tail, emulator.log_path)
    raise LocalError(f"the embedded AWS {state}; its log ends with: {tail}")


def _tail(log_path: Path) -> str:
    lines = log_path.read_text(errors="replace").strip().splitlines()
    return " | ".join(line.strip() for line in lines[-_LOG_TAIL_LINES:]) or "(nothing)"
