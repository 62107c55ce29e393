"""A run and a campaign as documents of JSON, whose keys stay."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from simulation.campaign import Sums, Trial
from simulation.checks.verdict import Violation
from simulation.outcome import Figures, Outcome
from simulation.report import summary
from simulation.report.summary import Binding

Document = dict[str, Any]


def of_run(outcome: Outcome, replay: str) -> Document:
    """Everything that a run's report says."""
    scenario, figures = outcome.scenario, outcome.figures
    return {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "region": scenario.region,
        "rate": scenario.load.rate,
        "seconds": scenario.load.seconds,
        "workers": scenario.workers,
        "ingests": scenario.ingests,
        "limits": asdict(scenario.limits),
        "replay": replay,
        "digest": outcome.digest,
        "steps": outcome.steps,
        "violation": _violation(outcome.violation),
        "last_steps": list(outcome.last_steps),
        **_figures(figures),
        **_fairness(outcome),
    }


def of_campaign(trials: Sequence[Trial], sums: Sums) -> Document:
    """All runs together, and each that failed."""
    return {
        "runs": sums.runs,
        "simulated_s": sums.simulated_s,
        "clicks": sums.clicks,
        "decided": sums.decided,
        "steps": sums.steps,
        "kills": sums.kills,
        "faults": dict(sums.faults),
        "digests": {str(trial.seed): trial.digest for trial in trials},
        "failures": [
            {"seed": trial.seed, "violation": _violation(trial.violation)}
            for trial in trials
            if trial.violation is not None
        ],
    }


def _figures(figures: Figures) -> Document:
    delays = {
        "answer_s": figures.answer_times_s,
        "queue_delay_s": figures.queue_delays_s,
        "e2e_delay_s": figures.e2e_delays_s,
    }
    return {
        "simulated_s": figures.simulated_s,
        "last_decision_s": figures.last_decision_s,
        "clicks": figures.clicks,
        "accepted": figures.accepted,
        "gave_up": figures.gave_up,
        "answers": {str(status): count for status, count in figures.answers.items()},
        "decided": figures.decided,
        "outcomes": dict(figures.outcomes),
        "seats_taken": figures.seats_taken,
        "published": figures.published,
        "delivered": figures.delivered,
        "lost": dict(figures.lost),
        "dead_lettered": figures.dead_lettered,
        "quarantined": figures.quarantined,
        "redriven": figures.redriven,
        "republished": figures.republished,
        "kills": figures.kills,
        "starts": figures.starts,
        **{name: _percentiles(values) for name, values in delays.items()},
        "limits_that_bound": [_binding(binding) for binding in summary.bindings(figures)],
        "calls": dict(figures.calls),
        "calls_a_request": summary.calls_a_request(figures),
        "a_request": {share.what: share.each for share in summary.shares(figures)},
        "dollars_a_million_in_us_east_1": summary.dollars_a_million(figures),
    }


def _fairness(outcome: Outcome) -> Document:
    found = outcome.figures.fairness
    return {
        "winners_overtaking": found.winners_overtaking,
        "winners_overtaking_share": found.overtaking_share,
        "greatest_overtaking_ms": found.greatest_overtaking_ms,
        "seats_out_of_turn": found.seats_out_of_turn,
        "ingest_skew_ms": summary.ingest_skew_ms(outcome.scenario),
    }


def _binding(binding: Binding) -> Document:
    return {
        "limit": binding.limit,
        "resource": binding.resource,
        "times": binding.times,
        "first_s": binding.first_s,
    }


def _percentiles(values: Sequence[float]) -> Document | None:
    found = summary.percentiles(values)
    return None if found is None else asdict(found)


def _violation(violation: Violation | None) -> Document | None:
    return None if violation is None else asdict(violation)
