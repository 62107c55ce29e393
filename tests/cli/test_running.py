"""How commands run: a signal asks for an orderly end, a second one for a quick one."""

import os
import signal

import anyio
import pytest

from cli.running import run_stoppable
from runtime.stop import Stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_requests_a_stop_and_the_result_is_kept(number: signal.Signals) -> None:
    async def work(stop: Stop) -> str:
        os.kill(os.getpid(), number)
        await stop.wait()
        return "so far"

    assert run_stoppable(work) == "so far"


def test_a_second_signal_cancels_and_lets_what_is_shielded_end() -> None:
    ended = []

    async def work(stop: Stop) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
                ended.append("whole")

    with pytest.raises(KeyboardInterrupt):
        run_stoppable(work)
    assert ended == ["whole"]


def test_an_error_is_raised_as_itself() -> None:
    async def work(_stop: Stop) -> None:
        raise LookupError("of its own")

    with pytest.raises(LookupError, match="of its own"):
        run_stoppable(work)
