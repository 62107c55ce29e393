"""Settings at their extremes slow a worker down, but never stop it."""

from typing import Any

import pytest

from tests.worker.support import World, figure, request

EXTREMES: dict[str, dict[str, Any]] = {
    "one message at a time": {"max_in_flight": 1},
    "fewer places than pollers, and than a batch holds": {
        "max_in_flight": 3,
        "pollers": 8,
        "batch_max_messages": 99,
    },
    "no lingering": {"batch_linger_ms": 0, "publish_linger_ms": 0, "delete_linger_ms": 0},
    "the shortest lease": {"visibility_timeout_s": 1},
    "batches of one": {"batch_max_messages": 1, "processors": 1},
    "more processors and pollers than work": {
        "processors": 64,
        "pollers": 64,
        "max_in_flight": 64,
    },
}


@pytest.mark.parametrize("extreme", EXTREMES)
async def test_a_worker_with_extreme_settings_decides_everything(
    world: World, extreme: str
) -> None:
    await world.create_event("E1", capacity=7)
    await world.enqueue([request("E1", f"user-{n}") for n in range(25)], duplicates=5)

    async with world.worker(**EXTREMES[extreme]) as parts:
        await world.until_decided("E1", 25)
        await world.until_empty()

    assert await world.statuses("E1") == {"SUCCEEDED": 7, "REJECTED": 18}
    assert (await world.seats("E1")).remaining == 0
    assert figure(parts.metrics.registry, "worker_in_flight_messages") == 0
