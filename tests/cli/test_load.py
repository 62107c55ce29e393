"""`participation load` as an operator types it, against a service over real sockets."""

import json
import signal
from pathlib import Path
from time import time
from typing import Any

import anyio
import pytest

from tests import programs
from tests.cli.conftest import Command
from tests.faults.program import Ended
from tests.ingest.issuer import RSA_KEY
from tests.operations.load.service import Answering, Reply, Service, accept, serving

SECRET = "a secret of more than thirty-two bytes"
BUSY = Reply(503, {"type": "urn:participation:problem:unavailable"}, {"Retry-After": "0"})


async def load(service: Service, *arguments: str, event: str = "e") -> Ended:
    """Run the command to its end; what it writes to both outputs is together."""
    command = ["load", "--url", service.url, "--event", event, *arguments]
    async with programs.participation(*command, environment={"JWT_SECRET": SECRET}) as program:
        return await program.ended(timeout_s=60)


async def found(answering: Answering, *arguments: str) -> tuple[Ended, dict[str, Any]]:
    async with serving(answering) as service:
        ended = await load(service, "--rate=200", "--seconds=0.5", "--json", *arguments)
    document = ended.output[ended.output.index("{") : ended.output.rindex("}") + 1]
    return ended, json.loads(document)


async def test_its_json_has_every_figure() -> None:
    ended, shown = await found(accept)

    assert ended.exit_code == 0, ended.output
    assert shown["scheduled"] == shown["sent"] == shown["accepted"] == 100
    assert shown["byStatus"] == {"202": 100}
    assert shown["duplicates"] == shown["retries"] == shown["errorsShare"] == 0
    assert shown["missed"] == []
    assert shown["interrupted"] is False
    for figures in (shown["latencyMs"], shown["serviceMs"]):
        assert 0 < figures["p50"] <= figures["p90"] <= figures["p99"] <= figures["max"]
    # What the machine does to these is not the test's business.
    assert shown["coreShare"] > 0
    assert shown.keys() >= {"sentPerSecond", "late", "latestMs", "held", "remarks"}


async def test_its_page_says_the_same_in_words() -> None:
    async with serving() as service:
        ended = await load(service, "--rate=200", "--seconds=0.5", "--users=40")

    assert ended.exit_code == 0, ended.output
    assert "clicks     100 of 100 sent in" in ended.output
    assert "answers    202: 100\n" in ended.output
    assert "from the scheduled moments" in ended.output
    assert len({asked.user for asked in service.asked}) == 40


async def test_a_missed_threshold_is_exit_code_1_and_a_sentence() -> None:
    async def half(service: Service, number: int) -> Reply:
        return BUSY if number % 2 else await accept(service, number)

    ended, shown = await found(half, "--max-errors=0.1", "--p99=0.001")

    assert ended.exit_code == 1
    assert shown["byProblem"] == {"unavailable": 50}
    assert len(shown["missed"]) == 2
    assert "participation: 50.00% were not accepted, wanted at most 10.00%\n" in ended.output


async def test_it_may_click_again_as_browsers_do() -> None:
    users: set[str] = set()

    async def busy_at_first(service: Service, number: int) -> Reply:
        known = len(users)
        users.add(service.asked[number - 1].user)
        return BUSY if len(users) > known else await accept(service, number)

    ended, shown = await found(busy_at_first, "--retry", "--max-errors=0")

    assert ended.exit_code == 0, ended.output
    assert shown["retries"] == 100


async def test_each_outcome_is_a_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.ndjson"

    await found(accept, f"--out={path}", "--prefix=team-a")

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 100
    assert {line["user"] for line in lines} == {f"team-a-{n:07d}" for n in range(100)}
    assert {line["requestId"] for line in lines} == {f"request-{n}" for n in range(1, 101)}
    assert all(line["status"] == 202 and line["ms"] > 0 for line in lines)


async def test_tokens_of_an_issuer_come_from_a_file_and_need_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    tokens = [RSA_KEY.token(f"person-{n}", exp=time() + 3_600) for n in range(3)]
    path.write_text("\n".join(tokens))
    async with serving() as service:
        command = ["load", "--url", service.url, "--event=e", "--rate=50", "--seconds=0.1"]
        arguments = [*command, f"--tokens={path}"]
        async with programs.participation(*arguments, environment={}) as program:
            ended = await program.ended()

    assert ended.exit_code == 0, ended.output
    users = [asked.user for asked in service.asked]
    assert users == ["person-0", "person-1", "person-2", "person-0", "person-1"]


async def test_ctrl_c_shows_the_result_so_far() -> None:
    begun = anyio.Event()

    async def notice(service: Service, number: int) -> Reply:
        if number == 20:
            begun.set()
        return await accept(service, number)

    async with serving(notice) as service:
        command = ["load", "--url", service.url, "--event=e", "--rate=50", "--seconds=600"]
        environment = {"JWT_SECRET": SECRET}
        async with programs.participation(*command, environment=environment) as program:
            with anyio.fail_after(30):
                await begun.wait()
            program.send(signal.SIGINT)
            ended = await program.ended(timeout_s=20)

    assert ended.exit_code == 130
    assert "answers    202: " in ended.output
    assert ended.output.endswith(
        "participation: interrupted: the figures are those of the clicks so far\n"
    )


async def test_progress_is_plain_lines_where_nobody_watches() -> None:
    async with serving() as service:
        ended = await load(service, "--rate=20", "--seconds=5.5")

    assert "sent  202: " in ended.output.splitlines()[0]
    assert "\r" not in ended.output
    assert "\x1b" not in ended.output


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["--url=http://localhost:1"], 1, "there is no way to localhost:1"),
        (["--url=localhost"], 2, "is not the URL of a service"),
        (["--url=http://a", "--rate=100000", "--seconds=1000"], 2, "10,000,000 clicks"),
        (["--url=http://localhost:1", "--out=/no/such/folder/file"], 2, "cannot be written"),
        (["--url=http://a", "--arrivals=bursts"], 2, "'constant', 'poisson'"),
    ],
    ids=["nobody there", "no URL", "too much", "no file", "unknown arrivals"],
)
def test_what_cannot_be_done_is_said_before_a_click(
    command: Command, arguments: list[str], code: int, complaint: str
) -> None:
    usual = ["--event=e", "--rate=10", "--seconds=1"]
    # The last one given counts.
    ended = command("load", *usual, *arguments, JWT_SECRET=SECRET)

    assert ended.code == code
    assert complaint in " ".join(ended.err.split())


@pytest.mark.parametrize(
    "url",
    [
        "https://bob:hunter2@shop.example/",
        "bob:hunter2@shop.example",
        "https://[bob:hunter2@shop.example",
        "https://bob:hunter2@shop.example:port/",
        "https://bob:hunter2\u2100@shop.example",
        "https://shop.example/?token=hunter2",
        "https://shop.example/#hunter2",
        "https://shop.example/?token=a@hunter2",
        "https://bob:a?b@hunter2@shop.example/",
    ],
)
def test_a_secret_in_the_url_is_not_repeated(command: Command, url: str) -> None:
    ended = command(
        *("load", "--event=e", "--rate=1", "--seconds=1"), JWT_SECRET=SECRET, INGEST_URL=url
    )

    assert ended.code == 2
    assert "give it as https://host" in ended.err
    assert "hunter2" not in ended.err + ended.out


def test_without_secret_and_tokens_it_says_what_is_missing(command: Command) -> None:
    ended = command("load", "--url=http://a", "--event=e", "--rate=1", "--seconds=1")

    assert ended.code == 2
    assert "JWT_SECRET is not set" in ended.err
