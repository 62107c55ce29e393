"""The virtual loop keeps nothing that it has run: no collector runs during a simulation."""

import gc
import weakref

import anyio

from simulation import loop as loops
from simulation.loop import Processor


def test_a_step_that_ran_on_a_processor_needs_no_collector_to_be_freed() -> None:
    class Kept:
        def run(self) -> None:
            pass

    async def run() -> bool:
        processor = Processor(loops.running())
        kept = Kept()
        processor.context().run(loops.running().call_soon, kept.run)
        freed = weakref.ref(kept)
        del kept
        await anyio.sleep(1)
        return freed() is None

    gc.disable()
    try:
        assert loops.run(run)
    finally:
        gc.enable()
