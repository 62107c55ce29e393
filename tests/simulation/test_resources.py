"""What a run is made of can break while it runs, and be fixed again."""

import pytest

from simulation.run import simulate
from simulation.scenario import Defect, EventPlan, Load, Scenario


@pytest.mark.usefixtures("quiet")
def test_requests_of_a_defective_event_wait_in_the_dead_letter_queue_until_it_is_fixed() -> None:
    outcome = simulate(
        Scenario(
            name="test",
            seed=1,
            events=(EventPlan(event_id="e", seats=10),),
            load=Load(rate=20.0, seconds=4.0),
            faults=(Defect(from_s=2.0, until_s=30.0),),
            worker_settings={"retry_backoff_base_s": 1.0, "retry_backoff_max_s": 3.0},
            # Ingest reads the event once: it goes on accepting clicks.
            ingest_settings={"event_cache_ttl_s": 60.0},
            max_receive_count=2,
        )
    )

    assert outcome.violation is None
    figures = outcome.figures
    assert 0 < figures.dead_lettered < figures.decided == figures.accepted
    assert figures.redriven == figures.dead_lettered
