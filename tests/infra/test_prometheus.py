"""Rules and dashboard ask for figures that exist, and every alert is tested and explained."""

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client import CollectorRegistry

from aws.errors import Throttle
from aws.metrics import CallMetrics
from config.settings import IngestSettings, WorkerSettings
from ingest.aws_gateway import STAGES
from ingest.metrics import IngestMetrics
from local import templates
from runtime.batch_metrics import BatchMetrics
from runtime.health import LoopBeat
from tests.infra.promql import Selector, selectors
from tests.infra.runbooks import runbooks
from tests.tools import missing
from worker.metrics import WorkerMetrics

INFRA: Final = Path(str(files("infra")))
PROMETHEUS: Final = INFRA / "prometheus"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS: Final = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED: Final = {rule["record"] for rule in RULES if "record" in rule}
TESTS: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "rules_test.yaml").read_text())["tests"]
DASHBOARD: dict[str, Any] = json.loads((INFRA / "grafana" / "dashboard.json").read_text())
NOT_OURS: Final = {"up", "ALERTS"}


def series() -> dict[str, list[dict[str, str]]]:
    """The names of all samples that the programs expose, with their label sets."""
    registries = [CollectorRegistry(), CollectorRegistry()]
    worker = WorkerMetrics(registries[0], lambda: 0)
    IngestMetrics(registries[1])
    for registry in registries:
        LoopBeat(registry)
    BatchMetrics(registries[1], "ingest", (*STAGES, "publish"))
    worker.seats_left.note("e1", 1)
    for calls in (worker.calls, CallMetrics(registries[1])):
        # These come into being with the first call, as seats left with the first event.
        calls.observe("sqs", "ReceiveMessage", 0.1, "InternalError")
        calls.throttled("dynamodb", "PutItem", Throttle("a", "table/T"))
    found: dict[str, list[dict[str, str]]] = {}
    for registry in registries:
        for family in registry.collect():
            for sample in family.samples:
                found.setdefault(sample.name, []).append(sample.labels)
    return found


SERIES: Final = series()


def panels() -> dict[str, list[str]]:
    """The dashboard's panels of the programs' figures by title, with their expressions."""
    return {
        panel["title"]: [target["expr"] for target in panel["targets"]]
        for panel in DASHBOARD["panels"]
        if panel["type"] != "row" and panel["datasource"]["type"] == "prometheus"
    }


def cloudwatch_targets() -> list[dict[str, Any]]:
    """What the dashboard asks CloudWatch for."""
    return [
        target
        for panel in DASHBOARD["panels"]
        if panel["type"] != "row" and panel["datasource"]["type"] == "cloudwatch"
        for target in panel["targets"]
    ]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    binary = shutil.which("promtool")
    if binary is None:
        missing("promtool is not installed (Debian: apt-get install prometheus)")
    return subprocess.run(  # noqa: S603 - a tool of Prometheus, our own files
        [binary, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )


def assert_exists(selector: Selector) -> None:
    """A selector's name, its labels, and the values it asks for are all exposed."""
    if selector.name in NOT_OURS or selector.name in RECORDED:
        return
    assert selector.name in SERIES, selector
    samples = SERIES[selector.name]
    for label, operator, value in selector.matchers:
        if label in {"job", "instance"}:
            continue
        known = {labels[label] for labels in samples if label in labels}
        assert known, f"{selector.name} has no label {label}"
        closed = not selector.name.startswith("aws_")
        if closed and operator in {"=", "!="}:
            assert value in known, f"{selector.name} has no {label}={value}"
        if closed and operator in {"=~", "!~"}:
            assert any(re.fullmatch(value, one) for one in known), (selector.name, label, value)


def test_promtool_accepts_the_rules() -> None:
    done = promtool("check", "rules", "rules.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_fire_when_they_must_and_only_then() -> None:
    done = promtool("test", "rules", "rules_test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.get("alert", rule.get("record"))))
def test_a_rule_asks_for_figures_that_exist(rule: dict[str, Any]) -> None:
    asked = list(selectors(rule["expr"]))
    assert asked
    for selector in asked:
        assert_exists(selector)


@pytest.mark.parametrize("title", panels())
def test_a_panel_asks_for_figures_that_exist(title: str) -> None:
    for expression in panels()[title]:
        asked = list(selectors(expression))
        assert asked
        for selector in asked:
            assert_exists(selector)


def test_the_dashboard_shows_each_queue_of_the_template_as_sqs_counts_it() -> None:
    resources = templates.load("pipeline.yaml")["Resources"].values()
    queues = {
        resource["Properties"]["QueueName"]["Fn::Sub"].replace("${AWS::StackName}", "$stack")
        for resource in resources
        if resource["Type"] == "AWS::SQS::Queue"
    }
    shown = [t for t in cloudwatch_targets() if t["namespace"] == "AWS/SQS"]
    waiting = [t for t in shown if t["metricName"] == "ApproximateNumberOfMessagesVisible"]
    assert {t["dimensions"]["QueueName"] for t in waiting} == queues
    assert {t["dimensions"]["QueueName"] for t in shown} == queues
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert variables >= {"stack", "cloudwatch", "region"}


def test_every_figure_is_shown_on_the_dashboard() -> None:
    shown = {s.name for expressions in panels().values() for e in expressions for s in selectors(e)}
    families = {
        re.sub(r"_(total|bucket|sum|count|created)$", "", name)
        for name in SERIES
        if not name.endswith("_created")
    }
    assert {
        re.sub(r"_(total|bucket|sum|count)$", "", name) for name in shown
    } - NOT_OURS == families


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_tested_where_it_fires_and_where_it_does_not(alert: str) -> None:
    cases = [case for test in TESTS for case in test.get("alert_rule_test", [])]
    assert any(c["alertname"] == alert and c["exp_alerts"] for c in cases)
    silent = any(
        case["expr"] == "ALERTS" and not case["exp_samples"]
        for test in TESTS
        for case in test.get("promql_expr_test", [])
    )
    assert silent


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_runbook(alert: str) -> None:
    page, anchor = ALERTS[alert]["annotations"]["runbook_url"].split("#")
    assert page == "docs/operations.md"
    assert anchor in runbooks()


def test_panels_have_ids_and_titles_of_their_own_and_do_not_overlap() -> None:
    everything = DASHBOARD["panels"]
    for name in ("id", "title"):
        assert len({panel[name] for panel in everything}) == len(everything)
    taken: set[tuple[int, int]] = set()
    for panel in everything:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_scrape_configuration_for_ecs_finds_both_programs_at_their_ports() -> None:
    configuration = yaml.safe_load((PROMETHEUS / "ecs.yaml").read_text())
    ports = {
        job["job_name"]: job["relabel_configs"][1]["replacement"]
        for job in configuration["scrape_configs"]
    }
    assert ports == {
        "worker": f"$1:{WorkerSettings.model_fields['http_port'].default}",
        "ingest": f"$1:{IngestSettings.model_fields['http_port'].default}",
    }
    for job in configuration["scrape_configs"]:
        (discovery,) = job["aws_sd_configs"]
        assert discovery["role"] == "ecs"
        keep = job["relabel_configs"][0]
        assert re.fullmatch(keep["regex"], f"participation-service-{job['job_name']}")
    assert configuration["rule_files"] == ["rules.yaml"]
