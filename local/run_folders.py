"""The folders below `var/` that runs leave behind, of which the newest stay."""

import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Final

KEPT: Final = 10


def new(parent: Path, kind: str, now: datetime) -> Path:
    """Make the folder of a run of a kind, and delete the oldest ones of that kind beyond KEPT.

    Whoever wants to keep a run for good names a folder for it.
    """
    folder = parent / f"{kind}-{now:%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    name = re.compile(rf"{re.escape(kind)}-\d{{8}}-\d{{6}}")
    runs = sorted(path for path in parent.iterdir() if path.is_dir() and name.fullmatch(path.name))
    for oldest in runs[:-KEPT]:
        shutil.rmtree(oldest, ignore_errors=True)
    return folder.resolve()
