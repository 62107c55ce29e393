"""The event, its JSON Schema and the table agree; every line of a lake is held to the schema."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from analytics import contract, statements
from analytics.synthetic import LakeSpec, LakeSummary, generate
from schema import json_schemas
from schema.events import ParticipationProcessed, RequestFailed
from tests.analytics.conftest import FIRST_DAY, Make, line, ms

EIGHT = ms("2026-01-04T08:00:00")


@pytest.mark.parametrize("table", ["create_table", "create_projected_table"])
@pytest.mark.parametrize("event", [ParticipationProcessed, RequestFailed])
def test_the_table_has_the_events_fields_and_no_other(table: str, event: type) -> None:
    columns = contract.table_columns(table)
    assert contract.differences(columns, contract.event_columns(event)) == []


@pytest.mark.parametrize("event", [ParticipationProcessed, RequestFailed])
def test_the_json_schema_has_the_tables_columns_and_no_other(event: type) -> None:
    assert set(_properties(json_schemas.load(event.__name__), "")) == set(contract.table_columns())


def test_the_view_has_the_tables_columns() -> None:
    sql = statements.load("create_requests_view").sql
    for column in {path.split(".")[0] for path in contract.table_columns()}:
        assert column in sql


@dataclass(frozen=True)
class _Delivery:
    attempt: int
    isDlq: bool | None  # noqa: N815 - a wire name


@dataclass(frozen=True)
class _Event:
    requestId: str | None  # noqa: N815 - a wire name
    delivery: _Delivery


_COLUMNS = {"requestId": "string", "delivery.attempt": "int", "delivery.isDlq": "boolean"}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (_COLUMNS, []),
        (
            {k: v for k, v in _COLUMNS.items() if k != "delivery.isDlq"},
            ["delivery.isDlq: in the event, not in the table"],
        ),
        (_COLUMNS | {"channel": "string"}, ["channel: in the table, not in the event"]),
        (
            _COLUMNS | {"delivery.attempt": "string"},
            ["delivery.attempt: string in the table, int in the event"],
        ),
    ],
)
def test_a_difference_either_way_is_reported(columns: dict[str, str], expected: list[str]) -> None:
    assert contract.differences(columns, contract.event_columns(_Event)) == expected


def test_every_line_of_a_sound_lake_fits_its_schema(tmp_path: Path) -> None:
    spec = LakeSpec(requests=3_000, first_day=FIRST_DAY, malformed_ratio=0, unreadable_ratio=0.05)
    summary = generate(tmp_path, spec)
    assert summary.unreadable > 50
    assert list(contract.line_violations(tmp_path)) == []


@pytest.mark.parametrize("compressed", [False, True])
def test_every_malformed_line_is_named(tmp_path: Path, *, compressed: bool) -> None:
    spec = LakeSpec(
        requests=2_000, first_day=FIRST_DAY, malformed_ratio=0.02, compressed=compressed
    )
    summary = generate(tmp_path, spec)
    found = list(contract.line_violations(tmp_path))
    assert len(found) == summary.malformed > 10
    first = min(found, key=lambda violation: (violation.path, violation.line_number))
    assert first.path.is_file()
    assert first.line_number >= 1


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"colour": "red"}, "colour"),
        ({"delivery__attempt": 0}, "$.delivery.attempt"),
        ({"timestamps__queuedAt": "now"}, "$.timestamps.queuedAt"),
        ({"finalStatus": "QUEUED"}, "$.finalStatus"),
        ({"eventType": None}, "$.finalStatus"),
    ],
)
def test_a_line_of_another_shape_is_reported_with_its_field(
    make_lake: Make, broken: dict[str, Any], reason: str
) -> None:
    lines = [line("r-1", EIGHT, EIGHT, EIGHT), line("r-2", EIGHT, EIGHT, EIGHT, **broken)]
    (violation, *_) = contract.line_violations(make_lake({"2026-01-04/08": lines}))
    assert violation.line_number == 2
    assert reason in violation.reason


def test_a_line_cut_off_at_the_end_of_its_file_is_reported(tmp_path: Path) -> None:
    assert contract.defect(line("r-1", EIGHT, EIGHT, EIGHT)) == "the line has no end"


def test_the_same_seed_makes_the_same_lake(tmp_path: Path) -> None:
    spec = LakeSpec(requests=500, first_day=FIRST_DAY)
    made = [_contents(tmp_path / name, spec) for name in ("a", "b")]
    assert made[0] == made[1]
    other = LakeSpec(requests=500, first_day=FIRST_DAY, seed=2)
    assert _contents(tmp_path / "c", other) != made[0]


def test_a_synthetic_lake_has_every_irregularity(
    synthetic_summary: tuple[Path, LakeSummary], synthetic_requests: int
) -> None:
    lake, summary = synthetic_summary
    assert summary.repeated == pytest.approx(synthetic_requests * 0.01, rel=0.2)
    assert summary.malformed == pytest.approx(synthetic_requests * 0.001, rel=0.5)
    assert summary.late > 0
    assert summary.unreadable > 0
    hours = Counter(path.name for path in (lake / "events").glob("dt=*/hour=*"))
    assert "hour=05" in hours
    assert not {"hour=03", "hour=04"} & set(hours)
    lines = sum(p.read_bytes().count(b"\n") for p in (lake / "events").glob("dt=*/hour=*/*"))
    assert lines == summary.lines


def _contents(folder: Path, spec: LakeSpec) -> dict[str, bytes]:
    generate(folder, spec)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _properties(document: dict[str, Any], prefix: str) -> list[str]:
    paths: list[str] = []
    for name, described in document["properties"].items():
        if "properties" in described:
            paths += _properties(described, f"{prefix}{name}.")
        else:
            paths.append(f"{prefix}{name}")
    return paths
