"""`participation local up` as its user meets it: URLs, a token, a click, Ctrl-C."""

import re
import signal
from pathlib import Path

import httpx
import pytest

from tests import programs
from tests.faults.program import Program
from tests.worker.support import until


@pytest.mark.slow
async def test_up_takes_a_click_and_ends_cleanly_on_ctrl_c(tmp_path: Path) -> None:
    arguments = ["local", "up", "--out", str(tmp_path)]
    async with programs.participation(*arguments, environment={}) as up:
        await until(lambda: is_ready(up))
        ingest = found_in(up.output, r"^ingest +(http\S+)")
        worker = found_in(up.output, r"^worker +(http\S+)/metrics")
        token = found_in(up.output, r"TOKEN=(\S+)")
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
            answer = await http.post(f"{ingest}/events/first/participations")
            assert answer.status_code == 202

            async def decided() -> bool:
                mine = (await http.get(f"{ingest}/me/participations")).json()
                return [entry["status"] for entry in mine["items"]] == ["SUCCEEDED"]

            await until(decided)
            assert (await http.get(f"{worker}/healthz")).text == "ok\n"
        up.send(signal.SIGINT)
        ended = await up.ended(timeout_s=60)

    assert ended.exit_code == 0, ended.output
    assert "Traceback" not in ended.output
    assert "Fatal" not in ended.output
    assert "worker_stopped exit_code=0 settled=1" in ended.output
    async with httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(ingest)


async def is_ready(up: Program) -> bool:
    """Whether it has invited to click."""
    assert up.is_running, up.output
    return "Ctrl-C stops everything." in up.output


def found_in(text: str, pattern: str) -> str:
    """The first group of a pattern that the text must have."""
    match = re.search(pattern, text, re.MULTILINE)
    assert match is not None, text
    return match[1]
