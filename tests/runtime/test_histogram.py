"""Our histogram exposes the same samples as prometheus_client's own."""

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from runtime.histogram import Histogram

BUCKETS = (0.01, 0.5, 1, 2.5)

seconds = st.floats(0, 5) | st.sampled_from(BUCKETS)


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of a registry except the times at which its series were made."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(batches=st.lists(st.lists(seconds, max_size=6), max_size=5), single=st.lists(seconds))
def test_it_exposes_the_same_as_prometheus_s_own(
    batches: list[list[float]], single: list[float]
) -> None:
    here, there = CollectorRegistry(), CollectorRegistry()
    ours = Histogram("h_seconds", "text", ("stage",), buckets=BUCKETS, registry=here)
    theirs = prometheus_client.Histogram(
        "h_seconds", "text", ("stage",), buckets=BUCKETS, registry=there
    )
    for stage in ("quiet", "a", "b"):
        ours.series(stage)
        theirs.labels(stage)

    for batch in batches:
        ours.series("a").observe_many(batch)
        for value in batch:
            theirs.labels("a").observe(value)
    for value in single:
        ours.series("b").observe(value)
        theirs.labels("b").observe(value)

    assert samples(here) == pytest.approx(samples(there))


def test_a_series_without_labels_exists_from_the_start() -> None:
    registry = CollectorRegistry()
    Histogram("h", "text", buckets=BUCKETS, registry=registry).series()

    assert registry.get_sample_value("h_count") == 0
    assert registry.get_sample_value("h_bucket", {"le": "+Inf"}) == 0


def test_other_labels_than_its_own_are_refused() -> None:
    histogram = Histogram("h", "text", ("a", "b"), buckets=BUCKETS, registry=CollectorRegistry())

    with pytest.raises(ValueError, match="h has the labels a, b"):
        histogram.series("only one")


def test_a_name_is_taken_once() -> None:
    registry = CollectorRegistry()
    Histogram("h", "text", buckets=BUCKETS, registry=registry)

    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Histogram("h", "text", buckets=BUCKETS, registry=registry)
