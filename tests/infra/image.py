"""Runs programs in the built container image, the way `infra/container/verify.sh` made it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

_READ_ONLY: Final = """
root=$1; user=$2; shift 2
mount --bind "$root" "$root"
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -o remount,ro,bind "$root"
exec chroot --userspec="$user" "$root" "$@"
"""
"""In a mount namespace of its own, which ends with the program."""

Way = Literal["buildah run", "read-only root"]


@dataclass(frozen=True, slots=False)
class Image:
    """A built image and a container of it."""

    container: str
    root: Path
    buildah_run: tuple[str, ...]
    configuration_path: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The image's configuration, by the names of the OCI specification."""
        document = json.loads(self.configuration_path.read_text())
        config: dict[str, Any] = document["OCIv1"]["config"]
        return config

    def command(
        self, way: Way, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> list[str]:
        """The command that runs the image's entry point with these arguments."""
        program = [*self.config["Entrypoint"], *arguments]
        return self.any_command(way, program, environment)

    def any_command(
        self, way: Way, program: Sequence[str], environment: Mapping[str, str]
    ) -> list[str]:
        """The command that runs a program in the container, as the image's user."""
        if way == "buildah run":
            flags = [
                part for name, value in environment.items() for part in ("--env", f"{name}={value}")
            ]
            return [*self.buildah_run, *flags, self.container, "--", *program]
        variables = [
            *self.config["Env"],
            *(f"{name}={value}" for name, value in environment.items()),
        ]
        return [
            *("unshare", "--mount", "--propagation", "private", "sh", "-euc", _READ_ONLY, "sh"),
            *(str(self.root), self.config["User"], "env", "-i", *variables, *program),
        ]


def built_image() -> Image | None:
    """The image that the environment names, if it names one."""
    container = os.environ.get("IMAGE_CONTAINER")
    if not container:
        return None
    return Image(
        container,
        Path(os.environ["IMAGE_ROOT"]),
        tuple(os.environ["IMAGE_RUN"].split()),
        Path(os.environ["IMAGE_CONFIG"]),
    )
