"""A run as one page of HTML that needs no network, in the evidence report's look."""

from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from analytics.report import scales
from simulation.outcome import Outcome
from simulation.report import figures, summary
from simulation.report.page import fairness_text, first_limit

_TEMPLATE = "page.html.j2"


def render(outcome: Outcome, replay: str) -> str:
    """Make the page; `replay` is the command that runs the same again."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    source = (files("simulation.report") / _TEMPLATE).read_text(encoding="utf-8")
    css = (files("analytics.report") / "report.css").read_text(encoding="utf-8")
    return environment.from_string(source).render(_view(outcome, replay, css))


def _view(outcome: Outcome, replay: str, css: str) -> dict[str, Any]:
    totals = outcome.figures
    return {
        "css": Markup(css),  # noqa: S704 - our own file
        "scenario": outcome.scenario,
        "outcome": outcome,
        "totals": totals,
        "replay": replay,
        "violation": outcome.violation,
        "fairness": fairness_text(outcome),
        "first_limit": first_limit(totals),
        "bindings": summary.bindings(totals),
        "answer_times": summary.percentiles(totals.answer_times_s),
        "queue_delays": summary.percentiles(totals.queue_delays_s),
        "e2e_delays": summary.percentiles(totals.e2e_delays_s),
        "shares": summary.shares(totals),
        "calls": summary.calls_a_request(totals),
        "dollars": summary.dollars_a_million(totals),
        "figures": figures.draw_all(outcome),
        "count": scales.count_text,
        "duration": lambda seconds: scales.duration_text(seconds * 1000),
        "svg": Markup,
    }
