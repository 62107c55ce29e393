"""Reads a program's /metrics page, and how much CPU time a process has used."""

import os
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a /metrics page."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Samples:
    """One scrape."""

    samples: tuple[Sample, ...]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples of a name that carry the labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def by(self, name: str, label: str) -> dict[str, float]:
        """The sums of a name's samples by one label."""
        sums: dict[str, float] = {}
        for sample in self.samples:
            if sample.name == name and label in sample.labels:
                key = sample.labels[label]
                sums[key] = sums.get(key, 0.0) + sample.value
        return sums


async def scrape(
    client: httpx.AsyncClient, url: str, names: tuple[str, ...] | None = None
) -> Samples:
    """Read a program's figures, or those whose names begin so; raises httpx.HTTPError."""
    response = await client.get(f"{url}/metrics")
    response.raise_for_status()
    text = response.text
    if names is not None:
        text = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(names))
    return Samples(
        tuple(
            Sample(sample.name, dict(sample.labels), float(sample.value))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        )
    )


def cpu_seconds(pid: int) -> float | None:
    """CPU time that a process has used; None where the system does not say (outside Linux)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    # proc(5): fields 14 and 15, utime and stime; the split begins at field 3.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
