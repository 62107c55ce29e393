"""The demo's page on the terminal: the figures, a small chart, the checks."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from local.demo.findings import Findings

_BARS: Final = " ▁▂▃▄▅▆▇█"
_COSTLIEST: Final = 6


def show(console: Console, findings: Findings) -> None:
    """Print the findings."""
    console.print(
        Panel(
            Group(
                _figures(findings),
                "",
                _chart("requests queued per second ", findings.traffic_per_second),
                _chart("requests decided per second", findings.throughput_per_second),
                "",
                _where_time_goes(findings),
                "",
                _checks(findings),
                "",
                Text(f"lake    {findings.lake_dir}", overflow="fold"),
                Text(f"report  {findings.report}", overflow="fold"),
            ),
            title="participation demo",
            title_align="left",
            border_style="green" if findings.passed else "red",
            padding=(1, 2),
        )
    )


def what_next(findings: Findings, participation: str) -> str:
    """What to open and what to try now; `participation` is how to call the command line."""
    return f"""
open    {Path(findings.report).as_uri()}
next    {participation} lake query p95_delay --lake-dir {shlex.quote(findings.lake_dir)}
        {participation} local up     keeps the pipeline running, for clicks of your own"""


def _figures(findings: Findings) -> RenderableType:
    figures = findings.figures
    table = Table.grid(padding=(0, 3))
    rows: Sequence[tuple[str, str]] = (
        (
            "clicks",
            (
                f"{figures['accepted']:,} accepted, {figures['duplicates']:,} duplicates, "
                f"{figures['refused']:,} refused in {figures['burst_seconds']:.1f} s"
            ),
        ),
        (
            "outcomes",
            (
                f"{figures['succeeded']:,} succeeded, {figures['rejected']:,} rejected, "
                f"{figures['failed']:,} failed; {figures['capacity_remaining']:,} of "
                f"{figures['capacity']:,} seats left"
            ),
        ),
        ("p95 queue delay", f"{_ms(figures['p95_queue_delay_ms'])}  (startedAt - queuedAt)"),
        ("p95 end-to-end delay", f"{_ms(figures['p95_e2e_delay_ms'])}  (finishedAt - queuedAt)"),
        (
            "lake",
            (
                f"{figures['lake_events']:,} events of {figures['lake_requests']:,} requests in "
                f"{figures['lake_files']:,} files"
            ),
        ),
        (
            "worker",
            (
                f"{figures['worker_calls_per_message']} AWS calls a message; "
                f"{figures['publish_failures']:,} publish failures"
            ),
        ),
    )
    for name, text in rows:
        table.add_row(Text(name, style="bold"), text)
    return table


def _ms(value: object) -> str:
    return "none" if value is None else f"{value:,} ms"


def _chart(title: str, counts: Sequence[int]) -> Text:
    highest = max(counts, default=0)
    bars = "".join(_bar(count, highest) for count in counts)
    return Text.assemble((f"{title}  ", "bold"), (bars, "cyan"), f"  peak {highest:,}")


def _bar(count: int, highest: int) -> str:
    if not count:
        return _BARS[0]
    return _BARS[max(1, round(count / highest * (len(_BARS) - 1)))]


def _where_time_goes(findings: Findings) -> RenderableType:
    figures = findings.figures
    wall, cpu = figures["wall_seconds"], figures["cpu_seconds"]
    lines: list[RenderableType] = []
    if cpu:
        shares = ", ".join(
            f"{name} {seconds:.1f} s ({seconds / wall:.0%})" for name, seconds in cpu.items()
        )
        lines.append(
            Text.assemble(("where the time goes  ", "bold"), f"{wall:.1f} s; CPU: {shares}")
        )
        lines.append(
            "The emulator does all AWS work in one process: where its share is near 100 %, the "
            "delays above are its queue, not the pipeline's."
        )
    table = Table("program", "operation", "calls", "mean ms", box=None, header_style="dim")
    for column in table.columns[2:]:
        column.justify = "right"
    for program, operation, calls, mean_ms in findings.calls[:_COSTLIEST]:
        table.add_row(program, operation, f"{calls:,}", f"{mean_ms:,.1f}")
    return Group(*lines, table)


def _checks(findings: Findings) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    for check in findings.checks:
        mark = Text("pass", style="green") if check.holds else Text("FAIL", style="bold red")
        table.add_row(mark, check.text)
    return table
