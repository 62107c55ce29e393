"""The file by which other commands find a running `participation local up`."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import IO, Final

import orjson

from local.errors import LocalError

NAME: Final = "up.json"
_PARENT: Final = Path("var")
_START_IT: Final = "start one with `participation local up` (make up)"


@contextmanager
def published(directory: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Keep the variables of what runs in `directory`, for its owner's eyes, until the block ends.

    A lock on the file says that it runs: the system frees it even if this process is killed.
    """
    path = directory / NAME
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(orjson.dumps(variables, option=orjson.OPT_INDENT_2))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def find(directory: Path | None) -> Mapping[str, str]:
    """The variables of what runs in a folder, or of the youngest below var/; raises LocalError."""
    if directory is not None:
        found = _read(directory / NAME)
        if found is None:
            raise LocalError(f"nothing runs in {directory}: {_START_IT}")
        return found
    for path in sorted(_PARENT.glob(f"up-*/{NAME}"), reverse=True):
        if (found := _read(path)) is not None:
            return found
    raise LocalError(
        f"nothing runs below {_PARENT.resolve()}: {_START_IT}, or name its folder with --folder"
    )


def option(directory: Path) -> str:
    """What a command needs to find what runs in a folder; nothing where it looks by itself."""
    is_found = directory.resolve().parent == _PARENT.resolve()
    return "" if is_found else f" --folder {quote(str(directory))}"


def _read(path: Path) -> Mapping[str, str] | None:
    """What a running one has written; None without one, also where it was killed."""
    try:
        with path.open("rb") as file:
            if not _is_locked(file):
                return None
            variables: Mapping[str, str] = orjson.loads(file.read())
            return variables
    except FileNotFoundError:
        return None


def _is_locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
