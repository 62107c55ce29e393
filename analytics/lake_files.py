"""The files of a lake on disk: which partition each is in, and which folders are none."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from analytics.engine import Partition
from schema.names import LAKE_ROOT

_DAY_FOLDER: Final = re.compile(r"dt=(\d{4}-\d{2}-\d{2})")
_HOUR_FOLDER: Final = re.compile(r"hour=(\d{2})")
_HIDDEN: Final = ("_", ".")
"""Hive's convention, which Athena keeps: such files are not data."""


@dataclass(frozen=True, slots=True, order=True)
class LakeFile:
    """One object of the lake; size and time show whether it changed."""

    path: Path
    size_bytes: int
    modified_ns: int


def events_folder(lake_dir: Path) -> Path:
    """The folder that holds the `dt=` folders: the lake's `events/`, or the folder itself."""
    below = lake_dir / LAKE_ROOT.rstrip("/")
    return below if below.is_dir() else lake_dir


def find(lake_dir: Path) -> Mapping[Partition, tuple[LakeFile, ...]]:
    """All data files by partition, sorted; empty for a folder without any."""
    found: defaultdict[Partition, list[LakeFile]] = defaultdict(list)
    root = events_folder(lake_dir)
    for day_folder in sorted(root.glob("dt=*")):
        day = _DAY_FOLDER.fullmatch(day_folder.name)
        if day is None:
            continue
        for hour_folder in sorted(day_folder.glob("hour=*")):
            hour = _HOUR_FOLDER.fullmatch(hour_folder.name)
            if hour is None:
                continue
            partition = Partition(day[1], hour[1])
            for path in sorted(hour_folder.rglob("*")):
                if path.is_file() and not path.name.startswith(_HIDDEN):
                    status = path.stat()
                    found[partition].append(LakeFile(path, status.st_size, status.st_mtime_ns))
    return {partition: tuple(files) for partition, files in sorted(found.items())}
