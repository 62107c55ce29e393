"""A page in headless Chromium; skipped where there is none, but not in CI."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.tools import missing

_CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def opened(url: str) -> Iterator[None]:
    """Have Chromium show an address for the length of the block."""
    program = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if program is None:
        missing("Chromium is not installed (apt-get install chromium)")
    with tempfile.TemporaryDirectory() as profile:
        arguments = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
            *("--disable-background-networking", "--disable-component-update"),
            *("--remote-debugging-port=0", f"--user-data-dir={profile}"),
        ]
        with subprocess.Popen(  # noqa: S603 - the browser that was found
            [program, *arguments, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as browser:
            try:
                yield
            finally:
                browser.terminate()
