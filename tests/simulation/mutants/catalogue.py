"""All mutations, by name."""

from collections.abc import Mapping
from typing import Final

from tests.simulation.mutants import of_adapters, of_ingest, of_queues, of_worker
from tests.simulation.mutants.mutation import Mutation

ALL: Final[tuple[Mutation, ...]] = (
    *of_ingest.ACCEPT,
    *of_worker.DECIDE,
    *of_worker.SEATS,
    *of_worker.COMMIT,
    *of_worker.YOUNG,
    *of_queues.CHANNEL,
    *of_queues.SETTLE,
    *of_queues.RECEIVE,
    *of_adapters.TABLE,
    *of_adapters.ITEMS,
    *of_adapters.PUBLISHER,
)
BY_NAME: Final[Mapping[str, Mutation]] = {mutation.name: mutation for mutation in ALL}
