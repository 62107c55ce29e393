"""The operators' policy allows what their commands call, on what they call it, and no more."""

from typing import Any, Final

import pytest

from local import templates
from operations.deployment import stack_name
from operations.templates import PIPELINE, SERVICE
from tests.infra.operations import called_operations
from tests.infra.test_code_and_templates import ROOT, adapter_attributes, allowed, methods
from tests.infra.test_pipeline import ACTIONS, ON_BEHALF_OF_QUERIES

STATEMENTS: Final[list[dict[str, Any]]] = templates.load(PIPELINE)["Resources"]["OperatorPolicy"][
    "Properties"
]["PolicyDocument"]["Statement"]
COMMANDS: Final = [p for of in ("cli", "operations") for p in sorted((ROOT / of).glob("*.py"))]


def test_the_policy_allows_exactly_what_the_commands_call() -> None:
    actions = methods()
    used = {m for path in COMMANDS for m in adapter_attributes(path)} & actions.keys()
    assert {"add_seats", "create_event", "ids", "delete"} <= used
    called = called_operations("analytics", "aws/objects.py", "aws/winners.py")
    needed = {"cloudformation:DescribeStacks"}.union(
        *(actions[method] for method in used), *(ACTIONS[operation] for operation in called)
    )
    granted = allowed("OperatorPolicy").keys()
    assert needed - granted == set()
    assert [a for a in granted - needed if not ON_BEHALF_OF_QUERIES.fullmatch(a)] == []


@pytest.mark.parametrize(
    ("action", "queues"),
    [
        # Dead letters are redriven to the queue, and lost events published: nothing else is sent.
        ("sqs:SendMessage", {"RequestQueue"}),
        ("sqs:ReceiveMessage", {"RequestDlq", "RuleDlq", "LostEventsQueue"}),
        ("sqs:DeleteMessage", {"RequestDlq", "RuleDlq", "LostEventsQueue"}),
    ],
)
def test_operators_take_from_the_queues_of_failures_alone(action: str, queues: set[str]) -> None:
    assert {resource["Fn::GetAtt"][0] for resource in allowed("OperatorPolicy")[action]} == queues


def test_operators_find_the_stacks_that_the_commands_ask_for() -> None:
    (statement,) = [
        statement
        for statement in STATEMENTS
        if statement["Action"] == "cloudformation:DescribeStacks"
    ]
    found = [resource["Fn::Sub"].partition(":stack/")[2] for resource in statement["Resource"]]
    wanted = {stack_name("${AWS::StackName}", template) for template in (PIPELINE, SERVICE)}
    assert {name.removesuffix("/*") for name in found} == wanted
    assert all(name.endswith("/*") for name in found)


def test_athena_may_look_up_the_default_database_that_it_asks_for_in_each_query() -> None:
    """AWS: "Fine-grained access to databases and tables in the AWS Glue Data Catalog"."""
    allowed = [
        resource["Fn::Sub"].rpartition(":")[2]
        for statement in STATEMENTS
        if statement["Action"] == "glue:GetDatabase"
        for resource in statement["Resource"]
    ]
    assert allowed == ["catalog", "database/default"]
