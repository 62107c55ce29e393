"""`participation local up` as its user meets it: URLs, a token, a click, Ctrl-C."""

import re
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import httpx
import orjson
import pytest

from tests import programs
from tests.faults.program import Ended, Program
from tests.worker.support import until


@pytest.mark.slow
async def test_up_takes_a_click_and_ends_cleanly_on_ctrl_c(tmp_path: Path) -> None:
    arguments = ["local", "up", "--no-page", "--out", str(tmp_path)]
    async with programs.participation(*arguments, environment={}) as up:
        await until(lambda: is_ready(up))
        assert not re.search(r"^live ", up.output, re.MULTILINE)
        ingest = found_in(up.output, r"^ingest +(http\S+)")
        worker = found_in(up.output, r"^worker +(http\S+)/metrics")
        token = found_in(up.output, r"TOKEN=(\S+)")
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
            page = {"Origin": "http://localhost:5173"}
            answer = await http.post(f"{ingest}/events/first/participations", headers=page)
            assert answer.status_code == 202
            assert answer.headers["access-control-allow-origin"] == "*"
            decision = await http.get(found_in(up.output, r'"(http\S+\?wait=20)"'))
            assert decision.json()["status"] == "SUCCEEDED"
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


@pytest.mark.slow
async def test_a_crowd_from_another_terminal_outlives_the_worker_and_the_lake_is_kept(
    tmp_path: Path,
) -> None:
    folder = ["--folder", str(tmp_path)]
    arguments = ["local", "up", "--out", str(tmp_path)]
    async with programs.participation(*arguments, environment={}) as up:
        await until(lambda: is_ready(up))
        shown = await _ran("local", "env", *folder)
        exported = dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", shown.output, re.MULTILINE))
        clicked = await _ran("local", "click", "first", "--users", "150", "--json", *folder)
        assert orjson.loads(clicked.output)["accepted"] == 150, clicked.output
        assert await _pressed(exported["LIVE_URL"], "kill") == "the worker is killed"
        await _ran("local", "click", "first", "--users", "10", *folder)
        await until(lambda: _has_decided(exported["LIVE_URL"], 160))
        seats = await _ran("events", "show", "first", environment=exported)
        up.send(signal.SIGINT)
        ended = await up.ended(timeout_s=60)
    files = [file for file in (tmp_path / "lake").rglob("*") if file.is_file()]
    lines = [line for file in files for line in file.read_text().splitlines()]

    assert "0 of 100 left" in seats.output
    assert ended.output.count("worker_started") == 2
    assert ended.exit_code == 0, ended.output
    assert len({orjson.loads(line)["requestId"] for line in lines}) == 160
    assert f"report   {tmp_path}/report/index.html" in ended.output
    report = (tmp_path / "report/index.html").read_text()
    assert "No seat beyond the capacity" in report
    assert "nothing runs in" in (await _ran("local", "env", *folder)).output


@pytest.mark.slow
async def test_a_click_on_the_page_is_answered_with_its_decision(tmp_path: Path) -> None:
    async with programs.participation("local", "up", "--out", str(tmp_path), environment={}) as up:
        await until(lambda: is_ready(up))
        url = found_in(up.output, r"^live +(http\S+)")
        answers = [await _pressed(url, "click", user="alice") for _ in range(2)]
        await _pressed(url, "close")

        async def refused() -> bool:
            answers[2:] = [await _pressed(url, "click", user="bob")]
            return answers[2].startswith("Not done")

        await until(refused)

    assert answers == [
        "alice: SUCCEEDED",
        "alice: SUCCEEDED (a duplicate of an earlier click)",
        "Not done: ingest answered 409, The event is closed",
    ]


@pytest.mark.slow
async def test_without_a_click_there_is_no_report_and_a_sentence_says_so(tmp_path: Path) -> None:
    arguments = ["local", "up", "--no-page", "--out", str(tmp_path)]
    async with programs.participation(*arguments, environment={}) as up:
        await until(lambda: is_ready(up))
        up.send(signal.SIGINT)
        ended = await up.ended(timeout_s=60)

    assert ended.exit_code == 0, ended.output
    assert "no event reached the lake: there is no report" in ended.output


async def _ran(*arguments: str, environment: Mapping[str, str] = MappingProxyType({})) -> Ended:
    async with programs.participation(*arguments, environment=environment) as command:
        return await command.ended()


async def _pressed(page_url: str, action: str, **fields: str) -> str:
    """The page's answer to a button: the text, marked where it was not done."""
    async with httpx.AsyncClient(trust_env=False, base_url=page_url, timeout=30) as http:
        token = found_in((await http.get("/")).text, r'name="live-token" content="([^"]+)"')
        headers = {"X-Live-Token": token, "Origin": page_url.rstrip("/")}
        answer = (await http.post(f"/do/{action}", headers=headers, json=fields)).json()
    return answer["text"] if answer["done"] else f"Not done: {answer['text']}"


async def _has_decided(page_url: str, requests: int) -> bool:
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        http.stream("GET", f"{page_url}stream") as stream,
    ):
        state = (await anext(stream.aiter_lines())).removeprefix("data: ")
    now = orjson.loads(state)["now"]
    decided: int = now["succeeded"] + now["rejected"]
    return decided == requests


async def is_ready(up: Program) -> bool:
    """Whether it has invited to click."""
    assert up.is_running, up.output
    return "Ctrl-C stops everything." in up.output


def found_in(text: str, pattern: str) -> str:
    """The first group of a pattern that the text must have."""
    match = re.search(pattern, text, re.MULTILINE)
    assert match is not None, text
    return match[1]
