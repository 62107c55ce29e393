"""A worker's memory does not grow with the messages that pass through it."""

import anyio
import anyio.to_thread
import psutil
import pytest

from bench.stub_process import Stub, running_stub
from tests import programs

MESSAGES = 100_000
FIRST_MARK = MESSAGES // 5
SEATS = 40_000


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_memory_stays_flat_over_a_hundred_thousand_messages() -> None:
    with running_stub() as stub:
        stub.seed_requests(MESSAGES, [SEATS])
        environment = stub.environment | {
            "WORKER_ID": "worker-1",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": "0",
            "LOG_LEVEL": "warning",
            "RECEIVE_WAIT_S": "1",
        }
        async with programs.participation("worker", environment=environment) as worker:
            process = psutil.Process(worker.pid)
            stub.release()
            await _until_deleted(stub, FIRST_MARK)
            early = process.memory_info().rss
            await _until_deleted(stub, MESSAGES)
            late = process.memory_info().rss
        statuses = stub.figures().statuses

    assert statuses == {"SUCCEEDED": SEATS, "REJECTED": MESSAGES - SEATS}
    assert 0.9 < late / early < 1.1, f"{early / 2**20:.1f} MiB, then {late / 2**20:.1f} MiB"


async def _until_deleted(stub: Stub, count: int) -> None:
    await anyio.to_thread.run_sync(stub.wait, count, 300.0)
