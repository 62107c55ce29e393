"""`participation plan`: the page, the document, and what is wrong usage."""

import re

import orjson
import pytest

from config.quotas import REGIONS
from operations import templates
from tests.cli.conftest import Command

EVENT = ("--rate", "20000", "--seconds", "10", "--seats", "1000")
SEOUL = ("--region", "ap-northeast-2")
KEYS = {
    *("region", "rate", "seconds", "seats", "tableWriteUnits", "indexWriteUnits"),
    *("tableReadUnits", "putEventsCalls", "invocations", "firehoseBytes", "firehoseRecords"),
    *("firehoseCalls", "inFlightMessages", "workerTasks", "ingestTasks", "vcpus"),
    *("loadBalancerUnits", "winnersIndexWriteUnits", "maxInFlight", "soldOutAfterS", "first"),
    *("firstAtThisRate", "seatsASecond"),
    *("limits", "acceptedAtMost", "decisionsLateS", "lakeLateS", "quotas", "warmThroughput"),
    *("costs", "dollars", "warmDollars", "commands"),
}
LIMIT_KEYS = {
    *("limit", "what", "available", "needed", "reachedAt", "letsThrough", "effect", "usedUpAfterS"),
}


@pytest.mark.parametrize("rate", ["1", "20000", "100000.5", "1000000"])
@pytest.mark.parametrize("region", REGIONS)
def test_the_page_fits_a_terminal(command: Command, region: str, rate: str) -> None:
    options = ("--rate", rate, "--seconds", "86400", "--seats", "10000000", "--region", region)

    shown = command("plan", *options, "--limit", "firehose_bytes_per_s=20000000")

    assert (shown.code, shown.err) == (0, "")
    assert [line for line in shown.out.splitlines() if len(line) > 80] == []


def test_the_page_says_what_binds_and_what_it_means_for_people(command: Command) -> None:
    shown = command("plan", *EVENT, *SEOUL)

    text = " ".join(shown.out.split())
    for sentence in (
        "rule invocations bind first: at 1,100 clicks/s",
        "At 20,000 clicks/s table write units are used up first: after 0.1 s",
        "Of 20,000 clicks/s 1,333 to 4,000 are accepted (table write units)",
        "The last decision comes 20 s after the last click (table write units)",
        "The lake has the last event 2 min 52 s after the last click (rule invocations)",
    ):
        assert sentence in text


def test_nothing_binds_at_a_small_rate(command: Command) -> None:
    shown = command("plan", "--rate", "100", "--seconds", "10", "--seats", "10", *SEOUL)

    assert "would bind first" in shown.out
    assert "Nothing binds at 100 clicks/s" in shown.out
    assert " ! " not in shown.out


def test_an_account_without_limits_has_a_page_too(command: Command) -> None:
    shown = command("plan", *EVENT, *SEOUL, "--limit", "all=none")

    assert shown.code == 0
    assert "No limit is known" in shown.out


def test_json_is_one_document_with_stable_keys(command: Command) -> None:
    shown = command("plan", *EVENT, *SEOUL, "--json")

    document = orjson.loads(shown.out)
    assert set(document) == KEYS
    assert {frozenset(one) for one in document["limits"]} == {frozenset(LIMIT_KEYS)}
    assert document["first"] == document["limits"][0]
    assert document["first"]["limit"] == "invocations_per_s"
    assert document["firstAtThisRate"] == "table_write_units"
    assert document["lakeLateS"] == pytest.approx(171.8, abs=0.1)


def test_its_commands_name_the_stack_and_parameters_of_its_templates(command: Command) -> None:
    event = ("--rate", "500000", "--seconds", "10", "--seats", "100000")
    document = orjson.loads(command("plan", *event, *SEOUL, "--json", "--stack", "shop").out)

    deploy, *others = document["commands"]
    assert all("--stack shop" in line for line in document["commands"])
    assert all("--rate 500000 --seconds 10 --seats 100000" in line for line in others)
    names = set(re.findall(r"--set (\w+)=", deploy))
    texts = [templates.text(name) for name in (templates.PIPELINE, templates.SERVICE)]
    assert {"FirehoseBufferMegabytes", "WorkerMaxTasks", "MaxInFlight"} <= names
    assert all(any(f"\n  {name}:\n" in text for text in texts) for name in names)


def test_raised_quotas_change_the_plan(command: Command) -> None:
    raised = ("--limit", "invocations_per_s=30000", "--limit", "fargate_vcpus=100")

    shown = command("plan", *EVENT, *SEOUL, *raised)

    assert "table write units bind first" in shown.out
    assert "EventBridge invocations" not in shown.out
    assert "Fargate on-demand" not in shown.out


def test_the_region_is_that_of_the_environment(command: Command) -> None:
    shown = command("plan", *EVENT, "--json", AWS_REGION="us-east-1")

    assert orjson.loads(shown.out)["region"] == "us-east-1"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((*EVENT, "--region", "moon-1"), "quotas of 'moon-1' are not known; known are ap-north"),
        ((*EVENT, *SEOUL, "--limit", "puts=1"), "no limit 'puts'; there are partition_write"),
        ((*EVENT, *SEOUL, "--limit", "fargate_vcpus"), "its value is missing"),
        ((*EVENT, *SEOUL, "--limit", "fargate_vcpus=x"), "'x' is no number"),
        (("--rate", "nan", *EVENT[2:], *SEOUL), "Invalid value for '--rate'"),
        (("--rate", "0", *EVENT[2:], *SEOUL), "Invalid value for '--rate'"),
        (("--rate", "inf", *EVENT[2:], *SEOUL), "Invalid value for '--rate'"),
        ((*EVENT[:4], "--seats", "-1", *SEOUL), "Invalid value for '--seats'"),
        (EVENT, "Missing option '--region'"),
    ],
)
def test_wrong_usage_is_explained(command: Command, options: tuple[str, ...], text: str) -> None:
    shown = command("plan", *options)

    assert (shown.code, shown.out) == (2, "")
    assert text in re.sub(r"[│╭╮╰╯─\s]+", " ", shown.err)
