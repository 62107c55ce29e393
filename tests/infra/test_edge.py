"""What stands between the users and ingest, and between the tasks and AWS."""

import re
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any, Final

import pytest
import yaml

from config.settings import IngestSettings
from local import templates
from tests.infra.functions import is_true, value

SERVICE: Final = templates.load("service.yaml")
PARAMETERS: Final[dict[str, Any]] = SERVICE["Parameters"]
RESOURCES: Final[dict[str, Any]] = SERVICE["Resources"]


def test_the_load_balancer_asks_whether_ingest_is_ready() -> None:
    target_group = RESOURCES["TargetGroup"]["Properties"]
    assert target_group["HealthCheckPath"] == "/readyz"
    assert target_group["Port"] == IngestSettings.model_fields["http_port"].default


def test_the_load_balancer_forwards_what_a_user_calls_and_nothing_else() -> None:
    (condition,) = RESOURCES["IngestRoutes"]["Properties"]["Conditions"]
    assert condition["Field"] == "path-pattern"
    patterns = condition["PathPatternConfig"]["Values"]
    assert len(patterns) <= 5  # AWS: condition values of a rule
    paths = yaml.safe_load((files("ingest") / "openapi.json").read_text())["paths"]
    for path, methods in paths.items():
        is_a_users = any("security" in operation for operation in methods.values())
        called = re.sub(r"\{\w+\}", "x", path)
        assert any(fnmatchcase(called, pattern) for pattern in patterns) == is_a_users, path
    (otherwise,) = RESOURCES["Listener"]["Properties"]["DefaultActions"]
    assert otherwise["Type"] == "fixed-response"
    assert otherwise["FixedResponseConfig"]["StatusCode"] == "404"
    # A service can be made only behind a rule that forwards to its target group.
    assert RESOURCES["IngestService"]["DependsOn"] == "IngestRoutes"


def test_a_task_that_fails_quickly_draws_no_traffic() -> None:
    attributes = RESOURCES["TargetGroup"]["Properties"]["TargetGroupAttributes"]
    chosen = {attribute["Key"]: attribute["Value"] for attribute in attributes}
    assert chosen["load_balancing.algorithm.type"] == "weighted_random"
    assert chosen["load_balancing.algorithm.anomaly_mitigation"] == "on"
    # AWS: "Edit target group attributes"; the algorithm excludes slow start.
    assert "slow_start.duration_seconds" not in chosen


def test_one_address_is_limited_only_where_an_operator_says_so() -> None:
    for resource in ("WebAcl", "WebAclAssociation"):
        assert RESOURCES[resource]["Condition"] == "HasAddressRateLimit"
    default = PARAMETERS["AddressRateLimit"]["Default"]
    assert SERVICE["Conditions"]["HasAddressRateLimit"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "AddressRateLimit"}, default]}]
    }
    allowed = PARAMETERS["AddressRateLimit"]["AllowedPattern"]
    # AWS WAF: "Rate-based rule high-level settings"; the lowest limit is 10.
    assert [n for n in ("0", "1", "9", "10", "3000", "") if re.fullmatch(allowed, n)] == [
        "0",
        "10",
        "3000",
    ]
    acl = RESOURCES["WebAcl"]["Properties"]
    (rule,) = acl["Rules"]
    assert rule["Statement"]["RateBasedStatement"] == {
        "AggregateKeyType": "IP",
        "EvaluationWindowSec": 300,
        "Limit": {"Ref": "AddressRateLimit"},
    }
    assert rule["Action"] == {"Block": {"CustomResponse": {"ResponseCode": 429}}}
    assert acl["DefaultAction"] == {"Allow": {}}
    association = RESOURCES["WebAclAssociation"]["Properties"]
    assert association["ResourceArn"] == {"Ref": "LoadBalancer"}
    attributes = RESOURCES["LoadBalancer"]["Properties"]["LoadBalancerAttributes"]
    assert {"Key": "waf.fail_open.enabled", "Value": "true"} in attributes


def test_the_web_acl_counts_requests_and_keeps_none_of_them() -> None:
    acl = RESOURCES["WebAcl"]["Properties"]
    for part in (acl, *acl["Rules"]):
        assert part["VisibilityConfig"]["CloudWatchMetricsEnabled"] is True
        assert part["VisibilityConfig"]["SampledRequestsEnabled"] is False
    kinds = {resource["Type"] for resource in RESOURCES.values()}
    assert "AWS::WAFv2::LoggingConfiguration" not in kinds


def test_dynamodb_is_reached_without_nat_where_the_route_tables_are_given() -> None:
    endpoint = RESOURCES["DynamoDbEndpoint"]
    assert endpoint["Condition"] == "HasDynamoDbEndpoint"
    assert endpoint["Properties"] == {
        "VpcEndpointType": "Gateway",
        "ServiceName": {"Fn::Sub": "com.amazonaws.${AWS::Region}.dynamodb"},
        "VpcId": {"Ref": "VpcId"},
        "RouteTableIds": {"Ref": "DynamoDbRouteTableIds"},
    }


def test_ingests_secret_comes_from_where_it_is_kept() -> None:
    condition, given, otherwise = RESOURCES["IngestTaskDefinition"]["Properties"][
        "ContainerDefinitions"
    ][0]["Secrets"]["Fn::If"]
    assert condition == "HasJwtSecret"
    assert given == [{"Name": "JWT_SECRET", "ValueFrom": {"Ref": "JwtSecretArn"}}]
    assert otherwise == {"Ref": "AWS::NoValue"}


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:jwt/prod-AbCdEf",
        "arn:aws:ssm:ap-northeast-2:123456789012:parameter/jwt/prod",
    ],
)
@pytest.mark.parametrize("json_key", ["", ":secret::", ":secret:AWSCURRENT:"])
def test_ecs_may_read_the_secret_itself_whatever_part_of_it_is_asked_for(
    arn: str, json_key: str
) -> None:
    kind = arn.split(":")[2]
    given = arn + (json_key if kind == "secretsmanager" else "")
    allowed = {
        statement["Action"]: value(statement["Resource"], {"JwtSecretArn": given})
        for statement in execution_policies()["HasJwtSecret"]
    }
    action = {"secretsmanager": "secretsmanager:GetSecretValue", "ssm": "ssm:GetParameters"}[kind]
    assert allowed[action] == arn


def test_ecs_may_use_the_key_that_the_secret_is_encrypted_with() -> None:
    (statement,) = execution_policies()["HasJwtSecretKey"]
    assert (statement["Action"], statement["Resource"]) == (
        "kms:Decrypt",
        {"Ref": "JwtSecretKeyArn"},
    )
    assert {"Condition": "HasJwtSecret"} in SERVICE["Conditions"]["HasJwtSecretKey"]["Fn::And"]


def execution_policies() -> dict[str, list[dict[str, Any]]]:
    """The statements of the execution role's own policies, by the condition that each needs."""
    policies = [p["Fn::If"] for p in RESOURCES["ExecutionRole"]["Properties"]["Policies"]]
    return {condition: policy["PolicyDocument"]["Statement"] for condition, policy, _ in policies}


def test_the_load_balancer_keeps_capacity_only_where_an_operator_says_so() -> None:
    reserved = RESOURCES["LoadBalancer"]["Properties"]["MinimumLoadBalancerCapacity"]
    condition, then, otherwise = reserved["Fn::If"]
    assert then == {"CapacityUnits": {"Ref": "LoadBalancerUnits"}}
    assert otherwise == {"Ref": "AWS::NoValue"}
    for units, is_reserved in (("0", False), ("100", True)):
        given = {"LoadBalancerUnits": units}
        assert is_true(SERVICE["Conditions"][condition], given) is is_reserved
    assert PARAMETERS["LoadBalancerUnits"]["Default"] == "0"
    # AWS: an Application Load Balancer's reservation has 100 LCUs at least.
    allowed = PARAMETERS["LoadBalancerUnits"]["AllowedPattern"]
    assert all(re.fullmatch(allowed, units) for units in ("0", "100", "15000"))
    assert not any(re.fullmatch(allowed, units) for units in ("1", "99", "-100", "0100"))
