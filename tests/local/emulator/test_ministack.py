"""The embedded AWS as a process: where it listens, and that it ends with its user."""

import os
import sys
from pathlib import Path

import anyio
import httpx
import psutil
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from aws.sdk import open_client
from local.emulator import ministack
from local.emulator.ministack import Emulator
from local.errors import LocalError

GONE_WITHIN_S = 10


async def gone(pid: int) -> None:
    """Wait until no process has this pid."""
    with anyio.fail_after(GONE_WITHIN_S):
        while is_running(pid):  # noqa: ASYNC110 - it is nobody's child any more
            await anyio.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_it_listens_on_loopback_alone_and_on_one_port(emulator: Emulator) -> None:
    sockets = psutil.Process(emulator.pid).net_connections(kind="inet")
    listening = [s.laddr for s in sockets if s.status == psutil.CONN_LISTEN]
    assert [f"http://{address.ip}:{address.port}" for address in listening] == [
        emulator.endpoint_url
    ]
    assert listening[0].ip == "127.0.0.1"


async def test_it_answers_while_the_block_runs_and_is_gone_after_it() -> None:
    async with (
        ministack.running() as emulator,
        open_client("sqs", emulator.connection) as sqs,
    ):
        response = await sqs.call("CreateQueue", QueueName="queue")
        assert response["QueueUrl"].startswith(emulator.endpoint_url)
        assert emulator.log_path.exists()
    assert not psutil.pid_exists(emulator.pid)
    assert not emulator.log_path.parent.exists()


async def test_two_run_side_by_side_and_know_nothing_of_each_other() -> None:
    async with ministack.running() as one, ministack.running() as other:
        assert one.endpoint_url != other.endpoint_url
        async with open_client("sqs", one.connection) as sqs:
            await sqs.call("CreateQueue", QueueName="queue")
        async with open_client("sqs", other.connection) as sqs:
            assert not (await sqs.call("ListQueues")).get("QueueUrls")


async def test_its_files_stay_where_a_folder_was_given(tmp_path: Path) -> None:
    async with ministack.running(tmp_path) as emulator:
        assert emulator.log_path.parent == tmp_path
    assert emulator.log_path.exists()


async def test_an_error_in_the_block_ends_it() -> None:
    pids: list[int] = []

    async def failing() -> None:
        async with ministack.running() as emulator:
            pids.append(emulator.pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert [psutil.pid_exists(pid) for pid in pids] == [False]


async def test_cancelling_the_block_ends_it() -> None:
    pids: list[int] = []
    with anyio.CancelScope() as scope:
        async with ministack.running() as emulator:
            pids.append(emulator.pid)
            scope.cancel()
            await anyio.sleep_forever()
    assert [psutil.pid_exists(pid) for pid in pids] == [False]


async def test_ctrl_c_on_the_terminal_does_not_reach_it(emulator: Emulator) -> None:
    # The terminal signals its foreground process group, which is ours.
    assert os.getpgid(emulator.pid) != os.getpgid(0)
    assert os.getsid(emulator.pid) != os.getsid(0)


async def test_it_does_not_outlive_a_user_who_is_killed(tmp_path: Path) -> None:
    program = (
        "import anyio\n"
        "from pathlib import Path\n"
        "from local.emulator import ministack\n"
        "async def main():\n"
        f"    async with ministack.running(Path({str(tmp_path)!r})) as emulator:\n"
        "        print(emulator.pid, flush=True)\n"
        "        await anyio.sleep_forever()\n"
        "anyio.run(main)\n"
    )
    async with await anyio.open_process([sys.executable, "-c", program], stderr=None) as user:
        assert user.stdout is not None
        try:
            pid = int(await BufferedByteReceiveStream(user.stdout).receive_until(b"\n", 20))
            assert psutil.pid_exists(pid)
        finally:
            user.kill()
    await gone(pid)


async def test_no_proxy_setting_of_the_shell_stands_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with ministack.running() as emulator:
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.get(f"{emulator.endpoint_url}/_ministack/health")
        assert response.status_code == 200


async def test_a_start_that_fails_is_reported_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    # This interpreter's environment has no MiniStack.
    with pytest.raises(LocalError, match=r"ended immediately; its log ends with: .*ModuleNotFound"):
        async with ministack.running(tmp_path, python=Path(sys.executable)):
            pytest.fail("it cannot have started")


async def test_a_start_that_takes_too_long_is_abandoned(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"not ready within 0\.001 s"):
        async with ministack.running(tmp_path, ready_within_s=0.001):
            pytest.fail("it cannot have started")
