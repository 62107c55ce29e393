"""Which build this is: the installed version, and the image's revision."""

import os
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Final

REVISION_VARIABLE: Final = "PARTICIPATION_REVISION"
"""Set in the image, by a build argument."""
UNKNOWN: Final = "unknown"


@cache
def version() -> str:
    """The version of the package; `unknown` where it is not installed."""
    try:
        return installed_version("participation-pipeline")
    except PackageNotFoundError:
        return UNKNOWN


def revision() -> str:
    """The commit; `unknown` outside of an image."""
    return os.environ.get(REVISION_VARIABLE) or UNKNOWN
