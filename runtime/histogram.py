"""A Prometheus histogram that takes a whole batch of observations in one step."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from threading import RLock
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Observations:
    """One series: how many observations fell into each bucket, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds: Final = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        # Scrapes come from another thread, and must not see half of a batch. Reentrant, because the
        # garbage collector may end a call, which then observes its time, during a scrape.
        self._lock = RLock()

    def observe(self, value: float) -> None:
        """Take one observation."""
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._sum += value

    def observe_many(self, values: Iterable[float]) -> None:
        """Take many observations."""
        bounds, counts = self._bounds, self._counts
        with self._lock:
            for value in values:
                counts[bisect_left(bounds, value)] += 1
                self._sum += value

    def read(self) -> tuple[list[int], float]:
        """The cumulative counts, one for each bound and one for the total, and the sum."""
        with self._lock:
            return list(accumulate(self._counts)), self._sum


class Histogram(Collector):
    """Like prometheus_client's own, at an eighth of its cost per observation where many come
    together, and at less than half where one comes alone.

    That one takes two locks and searches the bucket in Python for each value, and cannot observe
    many values in one call.
    """

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._bounds = tuple(buckets)
        self._bound_texts = [*map(floatToGoString, self._bounds), "+Inf"]
        self._series: dict[tuple[str, ...], Observations] = {}
        registry.register(self)

    def series(self, *values: str) -> Observations:
        """The series of these label values, which exists from the first call on."""
        found = self._series.get(values)
        if found is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has the labels {', '.join(self._labels)}")
            found = self._series[values] = Observations(self._bounds)
        return found

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The name without values, which the registry asks for at registration."""
        yield HistogramMetricFamily(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Every series as it stands."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, series in list(self._series.items()):
            counts, total = series.read()
            buckets = list(zip(self._bound_texts, map(float, counts), strict=True))
            family.add_metric(values, buckets, total)
        yield family
