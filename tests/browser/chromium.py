"""Runs a script in headless Chromium; without it or npm a test is skipped, but not in CI."""

import fcntl
import subprocess
import tempfile
from pathlib import Path

from tests.tools import missing

_RUN = Path(__file__).with_name("run.sh")
_NOTHING_TO_CHECK_WITH = 3


def run(script: Path, *arguments: str, timeout_s: float = 150) -> subprocess.CompletedProcess[str]:
    """Run it to its end; 0 is its exit code where the page is sound."""
    # One after the other, whichever processes the tests run in: the first installs its libraries.
    with (Path(tempfile.gettempdir()) / "participation-browser-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        checked = subprocess.run(  # noqa: S603 - our own script
            [str(_RUN), str(script), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    if checked.returncode == _NOTHING_TO_CHECK_WITH:
        missing(checked.stdout.strip())
    return checked
