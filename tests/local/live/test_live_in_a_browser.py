"""The live page in a real browser, against what `participation local up` runs."""

import signal
from functools import partial
from pathlib import Path

import pytest
from anyio import to_thread

from tests import programs
from tests.browser import chromium
from tests.local.test_up import found_in, is_ready
from tests.worker.support import until

_WATCH = Path(__file__).parent / "browser" / "live.mjs"


@pytest.mark.slow
async def test_each_button_does_what_it_says_and_the_numbers_follow(tmp_path: Path) -> None:
    arguments = ["local", "up", "--out", str(tmp_path)]
    async with programs.participation(*arguments, environment={}) as up:
        await until(partial(is_ready, up))
        url = found_in(up.output, r"^live +(http\S+)")
        watched = await to_thread.run_sync(chromium.run, _WATCH, url)
        up.send(signal.SIGINT)
        ended = await up.ended(timeout_s=60)

    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert ended.exit_code == 0, ended.output
    assert "Traceback" not in ended.output
