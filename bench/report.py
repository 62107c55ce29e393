"""The form of the results: sections of tables, shown in the terminal, as Markdown and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson
from rich import box
from rich.console import Console
from rich.table import Table as RichTable

RESULTS_JSON: Final = Path(__file__).with_name("results.json")
RESULTS_MD: Final = Path(__file__).with_name("RESULTS.md")
_ORDER: Final = ("worker", "calls", "ingest", "schema", "lake")


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text; the first column names the row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One benchmark's results. Texts are Markdown paragraphs; `data` holds every single run.

    The runs of a section have the same fields.
    """

    name: str
    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    closing: Sequence[str] = ()
    data: Sequence[Mapping[str, Any]] = field(default=(), repr=False)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, and the least and the greatest where there are several."""
    middle = f"{median(values):,.{digits}f}"
    low, high = f"{min(values):,.{digits}f}", f"{max(values):,.{digits}f}"
    return middle if low == high else f"{middle} ({low}–{high})"  # noqa: RUF001 - a range


def show(section: Section, console: Console) -> None:
    """Print what a section says, its tables, and what follows from them."""
    console.print(f"\n{section.title}", style="bold")
    for line in section.text:
        console.print(line.replace("*", ""), markup=False)
    for table in section.tables:
        shown = RichTable(
            title=table.title,
            box=box.SIMPLE_HEAD,
            title_justify="left",
            padding=(0, 1, 0, 0),
            pad_edge=False,
        )
        for index, column in enumerate(table.columns):
            shown.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
    for line in section.closing:
        console.print(line.replace("*", "").removeprefix("### "), markup=False)


def store(
    sections: Sequence[Section], date: str, machine: Mapping[str, str], versions: Mapping[str, str]
) -> None:
    """Write the results, keeping earlier ones of the sections that were not measured now."""
    kept = stored()
    for section in sections:
        kept[section.name] = {
            "date": date,
            "machine": dict(machine),
            "versions": dict(versions),
            **asdict(section),
        }
    names = sorted(kept, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    ordered = {name: kept[name] for name in names}
    document = {name: {**ordered[name], "data": _packed(ordered[name]["data"])} for name in names}
    RESULTS_JSON.write_bytes(orjson.dumps({"sections": document}, option=orjson.OPT_APPEND_NEWLINE))
    RESULTS_MD.write_text(markdown(ordered))


def stored() -> dict[str, dict[str, Any]]:
    """The stored sections by name, with what `Section` holds, date, machine and versions."""
    if not RESULTS_JSON.exists():
        return {}
    sections: dict[str, dict[str, Any]] = orjson.loads(RESULTS_JSON.read_bytes())["sections"]
    return {
        name: {**section, "data": _unpacked(section["data"])} for name, section in sections.items()
    }


def _packed(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each run as a row on a line of its own, below the names of the columns."""
    columns = list(runs[0]) if runs else []
    rows = [orjson.dumps([run[column] for column in columns]) for run in runs]
    return {"columns": columns, "rows": orjson.Fragment(b"[\n" + b",\n".join(rows) + b"\n]")}


def _unpacked(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]


def markdown(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """The stored sections as one page."""
    blocks = [
        "# Benchmark results",
        (
            "Written by `make bench-full` (five runs of every combination) or `python -m bench "
            "--store` (fewer); every single run is in `results.json`. Figures are "
            "medians, with the least and the greatest in brackets. Ratios are taken run by run, "
            "contestants in turns, so that a slow moment of the machine hits both sides."
        ),
    ]
    for section in sections.values():
        blocks.append(f"## {section['title']}")
        machine = ", ".join(f"{key} {value}" for key, value in section["machine"].items())
        blocks.append(f"{section['date']}; {machine}.")
        blocks.append(", ".join(f"{name} {v}" for name, v in section["versions"].items()) + ".")
        blocks += _paragraphs(section["text"])
        for table in section["tables"]:
            blocks += [f"### {table['title']}", _markdown_table(table)]
        blocks += _paragraphs(section["closing"])
    return "\n\n".join(blocks) + "\n"


def _paragraphs(lines: Sequence[str]) -> list[str]:
    """Paragraphs, neighbouring list items kept together."""
    paragraphs: list[str] = []
    for line in lines:
        if line.startswith("- ") and paragraphs and paragraphs[-1].startswith("- "):
            paragraphs[-1] += "\n" + line
        else:
            paragraphs.append(line)
    return paragraphs


def _markdown_table(table: Mapping[str, Any]) -> str:
    alignments = ["---", *("---:" for _ in table["columns"][1:])]
    lines = [table["columns"], alignments, *table["rows"]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
