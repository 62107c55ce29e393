"""`service.yaml` says what the programs' settings say, and takes what `pipeline.yaml` gives."""

import re
from importlib.resources import files
from typing import Any, Final

import pytest
import yaml

from config.settings import IngestSettings, WorkerSettings, load
from local import templates
from tests.infra.functions import is_true

SERVICE = templates.load("service.yaml")
PARAMETERS: dict[str, Any] = SERVICE["Parameters"]
RESOURCES: dict[str, Any] = SERVICE["Resources"]
PIPELINE_OUTPUTS = templates.load("pipeline.yaml")["Outputs"]
PROGRAMS: Final[dict[str, type[WorkerSettings] | type[IngestSettings]]] = {
    "Worker": WorkerSettings,
    "Ingest": IngestSettings,
}
THE_OPERATORS: Final = {"ImageUri", "VpcId", "TaskSubnetIds", "LoadBalancerSubnetIds"}


def container(program: str) -> dict[str, Any]:
    """A program's own container, without the collector."""
    definitions = RESOURCES[f"{program}TaskDefinition"]["Properties"]["ContainerDefinitions"]
    found: dict[str, Any] = definitions[0]
    return found


def environment(program: str) -> dict[str, Any]:
    return {entry["Name"]: entry["Value"] for entry in container(program)["Environment"]}


def secrets(program: str) -> set[str]:
    entries = container(program).get("Secrets", {"Fn::If": [None, []]})["Fn::If"][1]
    return {entry["Name"] for entry in entries}


def default_values(program: str) -> dict[str, str]:
    """What a container gets if an operator gives only what has no default."""
    given = {"TableName": "table", "QueueUrl": "https://queue", "DlqUrl": "https://dlq"}
    values: dict[str, str] = {}
    for name, value in environment(program).items():
        parameter = value["Ref"] if isinstance(value, dict) else None
        if parameter == "AWS::Region":
            values[name] = "ap-northeast-2"
        elif parameter is None:
            values[name] = value
        else:
            values[name] = str(PARAMETERS[parameter].get("Default", given.get(parameter, "bus")))
    return values


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_variable_that_a_container_gets_is_a_setting(program: str) -> None:
    settings = {name.upper() for name in PROGRAMS[program].model_fields}
    assert environment(program).keys() | secrets(program) <= settings


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_required_setting_is_given(program: str) -> None:
    required = {n.upper() for n, f in PROGRAMS[program].model_fields.items() if f.is_required()}
    assert required <= environment(program).keys()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_parameters_default_is_the_settings_default(program: str) -> None:
    fields = PROGRAMS[program].model_fields
    for name, value in environment(program).items():
        parameter = value["Ref"] if isinstance(value, dict) else ""
        default = PARAMETERS.get(parameter, {}).get("Default")
        setting = fields[name.lower()]
        if default is None or setting.is_required():
            continue
        expected = "" if setting.default is None else str(setting.default)
        assert str(default) == (
            expected.lower() if isinstance(setting.default, bool) else expected
        ), name


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_programs_start_with_what_a_container_gets_by_default(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in default_values(program).items():
        monkeypatch.setenv(name, value)
    for name in secrets(program):
        monkeypatch.setenv(name, "0123456789abcdef0123456789abcdef")  # pragma: allowlist secret
    loaded = load(PROGRAMS[program])
    assert loaded.queue_url == "https://queue"
    assert loaded.http_port == container(program)["PortMappings"][0]["ContainerPort"]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("bound", ["MinValue", "MaxValue"])
def test_a_number_that_the_template_allows_the_program_allows(
    program: str, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in default_values(program).items():
        monkeypatch.setenv(name, value)
    for name in secrets(program):
        monkeypatch.setenv(name, "0123456789abcdef0123456789abcdef")  # pragma: allowlist secret
    # What another setting's default bounds more closely.
    related = {
        "MinValue": {"SHUTDOWN_TIMEOUT_S", "RETRY_BACKOFF_MAX_S"},
        "MaxValue": {"RECEIVE_WAIT_S", "RETRY_BACKOFF_BASE_S"},
    }
    tried = 0
    for name, value in environment(program).items():
        limit = PARAMETERS.get(value["Ref"] if isinstance(value, dict) else "", {}).get(bound)
        if limit is None or name in related[bound]:
            continue
        with monkeypatch.context() as changed:
            changed.setenv(name, str(limit))
            load(PROGRAMS[program])
        tried += 1
    assert tried > 3


@pytest.mark.parametrize("program", PROGRAMS)
def test_ecs_waits_longer_than_the_program_drains(program: str) -> None:
    assert container(program)["StopTimeout"] == {"Ref": "StopTimeoutSeconds"}
    stop, shutdown = PARAMETERS["StopTimeoutSeconds"], PARAMETERS["ShutdownTimeoutSeconds"]
    # Ingest takes five seconds more to close what its last answers still need.
    assert stop["Default"] > shutdown["Default"] + 5
    assert stop["MaxValue"] > shutdown["MaxValue"] + 5


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_container_runs_the_image_as_it_is(program: str) -> None:
    ours = container(program)
    assert "EntryPoint" not in ours
    assert ours["Command"] == [program.lower()]
    assert ours["ReadonlyRootFilesystem"] is True
    assert "User" not in ours
    port = PROGRAMS[program].model_fields["http_port"].default
    assert environment(program)["HTTP_PORT"] == str(port)
    *_, check = ours["HealthCheck"]["Command"]
    assert f"http://127.0.0.1:{port}/healthz" in check
    compile(check, "health check", "exec")


def test_what_an_operator_must_give_is_an_output_of_the_pipeline_or_a_place_to_run_in() -> None:
    without_default = {n for n, p in PARAMETERS.items() if "Default" not in p}
    assert without_default - THE_OPERATORS == without_default & PIPELINE_OUTPUTS.keys()
    for name in without_default - THE_OPERATORS:
        assert PARAMETERS[name]["Description"] == f"pipeline.yaml's output {name}."


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_says_what_it_is_and_what_it_may_be(name: str) -> None:
    parameter = PARAMETERS[name]
    assert parameter["Description"].endswith(".")
    bounds = {"AllowedPattern", "AllowedValues", "MinValue"}
    assert parameter.keys() & bounds or parameter["Type"].replace("List<", "").startswith("AWS::")
    if "AllowedPattern" in parameter:
        assert parameter["ConstraintDescription"]
        assert re.fullmatch(parameter["AllowedPattern"], parameter.get("Default", "")) or (
            "Default" not in parameter
        )


def test_every_parameter_belongs_to_one_group() -> None:
    groups = SERVICE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(PARAMETERS)


def test_the_worker_scales_on_waiting_messages_per_running_task() -> None:
    policy = RESOURCES["WorkerBacklogScaling"]["Properties"][
        "TargetTrackingScalingPolicyConfiguration"
    ]
    metrics = {m["Id"]: m for m in policy["CustomizedMetricSpecification"]["Metrics"]}
    assert [m["Id"] for m in metrics.values() if m["ReturnData"]] == ["backlog"]
    assert re.findall(r"[a-z]+", metrics["backlog"]["Expression"])[:2] == ["waiting", "tasks"]
    waiting = metrics["waiting"]["MetricStat"]["Metric"]
    assert waiting["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert waiting["Dimensions"] == [{"Name": "QueueName", "Value": {"Ref": "QueueName"}}]
    tasks = metrics["tasks"]["MetricStat"]["Metric"]
    assert (tasks["Namespace"], tasks["MetricName"]) == (
        "ECS/ContainerInsights",
        "RunningTaskCount",
    )
    assert RESOURCES["Cluster"]["Properties"]["ClusterSettings"] == [
        {"Name": "containerInsights", "Value": "enabled"}
    ]


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_event_raises_the_minimum_and_its_end_restores_it(program: str) -> None:
    target = RESOURCES[f"{program}ScalableTarget"]["Properties"]
    condition, actions, otherwise = target["ScheduledActions"]["Fn::If"]
    assert (condition, otherwise) == ("HasSchedule", {"Ref": "AWS::NoValue"})
    start, end = actions
    assert {action["ScheduledActionName"] for action in actions} == {"start", "end"}
    for action, parameter in ((start, "ScheduledStart"), (end, "ScheduledEnd")):
        assert action["Schedule"] == {"Ref": parameter}
        assert action["Timezone"] == {"Ref": "ScheduledTimezone"}
        assert action["ScalableTargetAction"]["MaxCapacity"] == target["MaxCapacity"]
    assert start["ScalableTargetAction"]["MinCapacity"] == {"Ref": f"{program}ScheduledMinTasks"}
    assert end["ScalableTargetAction"]["MinCapacity"] == target["MinCapacity"]


@pytest.mark.parametrize("parameter", ["ScheduledStart", "ScheduledEnd"])
def test_a_schedule_is_one_time_or_recurring(parameter: str) -> None:
    """AWS: Application Auto Scaling, PutScheduledAction."""
    pattern = PARAMETERS[parameter]["AllowedPattern"]
    for allowed in ("", "at(2026-01-04T08:30:00)", "cron(30 8 * * ? *)"):
        assert re.fullmatch(pattern, allowed)
    for refused in ("2026-01-04T08:30:00", "at(2026-01-04T08:30)", "at(2026-01-04T08:30:00+09:00)"):
        assert not re.fullmatch(pattern, refused)


@pytest.mark.parametrize(
    ("start", "end", "is_whole"),
    [
        ("", "", True),
        ("at(2026-01-04T08:30:00)", "at(2026-01-04T10:00:00)", True),
        ("at(2026-01-04T08:30:00)", "", False),
        ("", "at(2026-01-04T10:00:00)", False),
    ],
)
def test_a_schedule_that_begins_ends(
    start: str,
    end: str,
    is_whole: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    (assertion,) = SERVICE["Rules"]["WholeSchedule"]["Assertions"]
    parameters = {"ScheduledStart": start, "ScheduledEnd": end}
    assert is_true(assertion["Assert"], parameters) is is_whole


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_deployment_leaves_the_number_of_tasks_to_the_scaling(program: str) -> None:
    assert "DesiredCount" not in RESOURCES[f"{program}Service"]["Properties"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_runs_with_its_own_policy_alone(program: str) -> None:
    definition = RESOURCES[f"{program}TaskDefinition"]["Properties"]
    assert definition["TaskRoleArn"] == {"Fn::GetAtt": [f"{program}Role", "Arn"]}
    role = RESOURCES[f"{program}Role"]["Properties"]
    assert role["ManagedPolicyArns"] == [{"Ref": f"{program}PolicyArn"}]
    (inline,) = role["Policies"]
    assert inline["Fn::If"][0] == "HasCollector"


def test_logs_that_cannot_leave_hold_up_nobody() -> None:
    for program in PROGRAMS:
        options = container(program)["LogConfiguration"]["Options"]
        assert options["mode"] == "non-blocking"


def test_publish_failures_are_read_from_the_line_that_the_publisher_logs() -> None:
    source = "".join((files("aws") / name).read_text() for name in ("publisher.py", "bus_watch.py"))
    pattern = RESOURCES["PublishFailures"]["Properties"]["FilterPattern"]
    events = re.findall(r'\$\.event = "(\w+)"', pattern)
    assert events == ["publish_failed", "bus_missing"]
    for event in events:
        assert f'"{event}"' in source
    assert not {"error", "critical"} & set(PARAMETERS["LogLevel"]["AllowedValues"])
    # Without a terminal, which no task has, lines are JSON.
    assert "LOG_FORMAT" not in environment("Worker")
    assert "PseudoTerminal" not in container("Worker")
    filtered = RESOURCES["PublishFailures"]["Properties"]["MetricTransformations"][0]
    alarm = RESOURCES["PublishFailuresAlarm"]["Properties"]
    assert alarm["MetricName"] == filtered["MetricName"]
    assert alarm["Namespace"] == filtered["MetricNamespace"]


def test_the_collectors_configuration_is_the_file() -> None:
    text = SERVICE["Mappings"]["Collector"]["Configuration"]["Text"]
    assert text == (files("infra") / "prometheus" / "adot.yaml").read_text()


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_collector_is_given_whatever_its_configuration_asks_for(program: str) -> None:
    text = SERVICE["Mappings"]["Collector"]["Configuration"]["Text"]
    yaml.safe_load(text)
    definitions = RESOURCES[f"{program}TaskDefinition"]["Properties"]["ContainerDefinitions"]
    collector = definitions[1]["Fn::If"][1]
    given = {entry["Name"]: entry["Value"] for entry in collector["Environment"]}
    asked = set(re.findall(r"\$\{env:(\w+)\}", text))
    assert asked == given.keys() - {"AOT_CONFIG_CONTENT"}
    port = PROGRAMS[program].model_fields["http_port"].default
    assert given["SCRAPE_TARGET"] == f"127.0.0.1:{port}"
    assert collector["Essential"] is False
