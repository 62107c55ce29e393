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
        "lastSteps": list(outcome.last_steps),
        **_figures(figures),
        **_fairness(outcome),
    }


def of_campaign(trials: Sequence[Trial], sums: Sums) -> Document:
    """All runs together, and each that failed."""
    return {
        "runs": sums.runs,
        "simulatedS": sums.simulated_s,
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
        "answerS": figures.answer_times_s,
        "queueDelayS": figures.queue_delays_s,
        "e2eDelayS": figures.e2e_delays_s,
    }
    return {
        "simulatedS": figures.simulated_s,
        "lastDecisionS": figures.last_decision_s,
        "lastSeatS": figures.last_seat_s,
        "clicks": figures.clicks,
        "accepted": figures.accepted,
        "gaveUp": figures.gave_up,
        "answers": {str(status): count for status, count in figures.answers.items()},
        "decided": figures.decided,
        "outcomes": dict(figures.outcomes),
        "seatsTaken": figures.seats_taken,
        "published": figures.published,
        "delivered": figures.delivered,
        "lost": dict(figures.lost),
        "deadLettered": figures.dead_lettered,
        "quarantined": figures.quarantined,
        "redriven": figures.redriven,
        "republished": figures.republished,
        "kills": figures.kills,
        "starts": figures.starts,
        **{name: _percentiles(values) for name, values in delays.items()},
        "limitsThatBound": [_binding(binding) for binding in summary.bindings(figures)],
        "calls": dict(figures.calls),
        "callsARequest": summary.calls_a_request(figures),
        "aRequest": {share.what: share.each for share in summary.shares(figures)},
        "dollarsAMillionInUsEast1": summary.dollars_a_million(figures),
    }


def _fairness(outcome: Outcome) -> Document:
    found = outcome.figures.fairness
    return {
        "winnersOvertaking": found.winners_overtaking,
        "winnersOvertakingShare": found.overtaking_share,
        "greatestOvertakingMs": found.greatest_overtaking_ms,
        "seatsOutOfTurn": found.seats_out_of_turn,
        "ingestSkewMs": summary.ingest_skew_ms(outcome.scenario),
    }


def _binding(binding: Binding) -> Document:
    return {
        "limit": binding.limit,
        "resource": binding.resource,
        "times": binding.times,
        "firstS": binding.first_s,
    }


def _percentiles(values: Sequence[float]) -> Document | None:
    found = summary.percentiles(values)
    if found is None:
        return None
    return {
        "p50S": found.p50_s,
        "p95S": found.p95_s,
        "p99S": found.p99_s,
        "mostS": found.most_s,
    }


def _violation(violation: Violation | None) -> Document | None:
    return None if violation is None else asdict(violation)
