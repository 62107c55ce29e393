"""A run and a campaign on the terminal."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from analytics.report.scales import duration_text
from simulation.campaign import Sums
from simulation.outcome import Figures, Outcome
from simulation.report import summary
from simulation.report.summary import Binding, Percentiles

_BARS: Final = " ▁▂▃▄▅▆▇█"
_MOST_BARS: Final = 60
_NOTHING: Final = "none"


def show(console: Console, outcome: Outcome) -> None:
    """Print a run."""
    scenario, figures = outcome.scenario, outcome.figures
    body: list[RenderableType] = [_figures(outcome), "", _charts(figures), "", _limits(figures)]
    if figures.decided:
        body += ["", _costs(figures)]
    console.print(
        Panel(
            Group(*body, "", _verdict(outcome)),
            title=f"participation simulate {scenario.name}, seed {scenario.seed}",
            title_align="left",
            border_style="red" if outcome.violation else "green",
            padding=(1, 2),
        )
    )


def show_steps(console: Console, outcome: Outcome) -> None:
    """Print the last steps before a violation, those about the request concerned first."""
    violation = outcome.violation
    if violation is None:
        return
    blocks = ((f"steps about {violation.about.strip()}", outcome.steps_about),)
    for title, steps in (*blocks, ("the last steps", outcome.last_steps)):
        if steps:
            console.print(Text(title, style="bold"))
            for step in steps:
                console.print(Text(step), soft_wrap=True)


def show_sums(console: Console, sums: Sums, wall_s: float) -> None:
    """Print what all runs of a campaign add up to."""
    faults = ", ".join(f"{count:,} {kind}" for kind, count in sums.faults.items())
    rows = (
        ("runs", f"{sums.runs:,}, {sums.failures:,} of which failed"),
        ("simulated", f"{sums.simulated_s / 3600:,.2f} hours in {wall_s:,.0f} s"),
        ("clicks", f"{sums.clicks:,}, {sums.decided:,} requests decided, {sums.steps:,} steps"),
        ("faults", f"{faults or _NOTHING}; {sums.kills:,} processes killed"),
    )
    console.print(_grid(rows))


def first_limit(figures: Figures) -> str:
    """Which limit bound first, and when."""
    found = summary.bindings(figures)
    if not found:
        return "no limit bound"
    first = found[0]
    return f"{first.limit} of {first.resource} bound first, in second {first.first_s:.1f}"


def fairness_text(outcome: Outcome) -> str:
    """How many winners overtook a loser, by how much, and how right the clocks behind it are."""
    found, skew_ms = outcome.figures.fairness, summary.ingest_skew_ms(outcome.scenario)
    clocks = f"up to {duration_text(skew_ms)} wrong" if skew_ms else "right"
    if found.overtaking_share is None or not found.winners_overtaking:
        return f"no winner was queued after a loser; ingest's clocks are {clocks}"
    return (
        f"{found.winners_overtaking:,} of {found.winners:,} winners "
        f"({found.overtaking_share:.1%}) were queued after a loser, "
        f"by {duration_text(found.greatest_overtaking_ms)} at most; "
        f"{found.seats_out_of_turn:,} seats out of turn; ingest's clocks are {clocks}"
    )


def _grid(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 3))
    for name, text in rows:
        table.add_row(Text(name, style="bold"), Text(text))
    return table


def _figures(outcome: Outcome) -> Table:
    fairness = ("fairness", fairness_text(outcome))
    return _grid([*_load(outcome), *_messages(outcome.figures), fairness, *_times(outcome)])


def _load(outcome: Outcome) -> list[tuple[str, str]]:
    scenario, figures = outcome.scenario, outcome.figures
    load = f"{scenario.load.rate:,g} clicks/s for {scenario.load.seconds:g} s"
    tasks = f"{scenario.ingests} ingest and {scenario.workers} worker tasks"
    people = f"{figures.clicks:,} people, {figures.accepted:,} accepted"
    return [
        ("load", f"{load} on {tasks}, {scenario.region}"),
        ("clicks", f"{people}, {figures.gave_up:,} gave up; answers: {_answers(figures)}"),
    ]


def _messages(figures: Figures) -> list[tuple[str, str]]:
    outcomes = ", ".join(f"{count:,} {code}" for code, count in figures.outcomes.items())
    lost = ", ".join(f"{count:,} {reason}" for reason, count in figures.lost.items())
    kept = f"; {figures.republished:,} kept, and published in the end" if lost else ""
    events = f"{figures.published:,} published, {figures.delivered:,} delivered"
    dead = f"{figures.dead_lettered:,} dead-lettered, {figures.quarantined:,} quarantined"
    return [
        ("decided", f"{figures.decided:,}: {outcomes or _NOTHING}"),
        ("events", f"{events}; lost: {lost or _NOTHING}{kept}"),
        ("messages", f"{dead}, {figures.redriven:,} redriven"),
    ]


def _times(outcome: Outcome) -> list[tuple[str, str]]:
    figures = outcome.figures
    last, all_ = f"{figures.last_decision_s:.1f} s", f"{figures.simulated_s:.1f} s"
    seat = f"last seat after {figures.last_seat_s:.2f} s, " if figures.seats_taken else ""
    return [
        ("accepted after", _took(summary.percentiles(figures.answer_times_s))),
        ("queue delay", _took(summary.percentiles(figures.queue_delays_s))),
        ("end to end", _took(summary.percentiles(figures.e2e_delays_s))),
        ("time", f"{seat}last decision after {last}, {all_} simulated; digest {outcome.digest}"),
    ]


def _answers(figures: Figures) -> str:
    named = {0: "no answer"}
    parts = [f"{count:,} {named.get(code, code)}" for code, count in figures.answers.items()]
    return ", ".join(parts) or _NOTHING


def _took(found: Percentiles | None) -> str:
    if found is None:
        return _NOTHING
    p50, p95, p99, most = (
        duration_text(seconds * 1000)
        for seconds in (found.p50_s, found.p95_s, found.p99_s, found.most_s)
    )
    return f"p50 {p50}, p95 {p95}, p99 {p99}, at most {most}"


def _charts(figures: Figures) -> Table:
    seconds = figures.seconds
    clicks = summary.per_second([second.clicks for second in seconds])
    decided = summary.per_second([second.decided for second in seconds])
    table = Table.grid(padding=(0, 3))
    for name, counts in (
        ("clicks a second", clicks),
        ("decisions a second", decided),
        ("waiting messages", [second.waiting for second in seconds]),
    ):
        bars = Text(_bars(counts), style="cyan")
        table.add_row(Text(name, style="bold"), bars, f"peak {max(counts, default=0):,}")
    return table


def _bars(counts: Sequence[int]) -> str:
    joined = -(-len(counts) // _MOST_BARS) or 1
    columns = [max(counts[at : at + joined]) for at in range(0, len(counts), joined)]
    highest = max(columns, default=0) or 1
    return "".join(
        _BARS[max(1, round(count / highest * (len(_BARS) - 1)))] if count else _BARS[0]
        for count in columns
    )


def _limits(figures: Figures) -> RenderableType:
    found = summary.bindings(figures)
    headline = Text(first_limit(figures), style="bold yellow" if found else "bold")
    if not found:
        return headline
    table = Table("limit", "of", "first at", "times", box=None, header_style="dim", pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for binding in found:
        table.add_row(*_row(binding))
    return Group(headline, table)


def _row(binding: Binding) -> tuple[str, ...]:
    return binding.limit, binding.resource, f"{binding.first_s:.1f} s", f"{binding.times:,}"


def _costs(figures: Figures) -> RenderableType:
    table = Table(
        "a decided request",
        "",
        "dollars a million, us-east-1",
        box=None,
        header_style="dim",
        pad_edge=False,
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for share in summary.shares(figures):
        table.add_row(share.what, f"{share.each:.3f}", f"{share.dollars_a_million:.2f}")
    table.add_row("AWS calls", f"{summary.calls_a_request(figures):.3f}", "")
    table.add_row("together", "", f"{summary.dollars_a_million(figures):.2f}")
    return table


def _verdict(outcome: Outcome) -> Text:
    if outcome.violation is None:
        return Text(f"every check holds ({outcome.steps:,} steps)", style="green")
    return Text(f"{outcome.violation.rule}: {outcome.violation.text}", style="bold red")
