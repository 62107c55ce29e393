"""The operators' policy allows what their commands call, on what they call it, and no more."""

import json
import re
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
LOOKS: Final = ("operations/account", "operations/warming")
"""What `preflight`, `status`, `warm` and `cool` call, beside the stacks' updates."""
STACKS: Final = {"DescribeStacks", "UpdateStack", "DescribeStackEvents"}
"""What they call by operations/stacks.py, which makes and deletes stacks for the deployer, too."""
ON_BEHALF_OF_STACKS: Final = re.compile(
    r"application-autoscaling:\w+|dynamodb:(?:Describe|Get|List|UpdateTable)\w*|"
    r"ecs:UpdateService|elasticloadbalancing:Describe(?:LoadBalancer|Tags)\w*"
)
"""What CloudFormation does with the caller's permissions when parameters change."""


def test_the_policy_allows_exactly_what_the_commands_call() -> None:
    actions = methods()
    used = {m for path in COMMANDS for m in adapter_attributes(path)} & actions.keys()
    assert {"add_seats", "create_event", "ids", "delete"} <= used
    called = called_operations("analytics", "aws/objects.py", "aws/winners.py", *LOOKS) | STACKS
    assert {"ListServiceQuotas", "DescribeCapacityReservation"} <= called
    assert called_operations("operations/stacks.py") >= STACKS
    needed = set[str]().union(
        *(actions[method] for method in used),
        *(ACTIONS[operation] for operation in called),
    )
    granted = allowed("OperatorPolicy").keys()
    assert needed - granted == set()
    behalf = (ON_BEHALF_OF_QUERIES, ON_BEHALF_OF_STACKS)
    assert [a for a in granted - needed if not any(b.fullmatch(a) for b in behalf)] == []


def test_what_spends_money_is_one_statement_that_can_be_taken_out() -> None:
    changing = re.compile(
        r"(?:\w|-)+:(?:Modify|Put|Register|Delete|Update)(?!Item|Message|Events)\w+"
    )
    (spending,) = [s for s in STATEMENTS if s["Sid"] == "SpendOnCapacity"]
    others = [a for s in STATEMENTS if s != spending for a in as_list(s["Action"])]
    own = ("glue:", "s3:")
    assert [a for a in others if changing.fullmatch(a) and not a.startswith(own)] == []
    assert {"cloudformation:UpdateStack", "dynamodb:UpdateTable"} <= set(spending["Action"])


def test_every_resource_is_named_but_for_actions_that_have_none() -> None:
    """AWS: Service Authorization Reference; all of them only read."""
    (statement,) = [s for s in STATEMENTS if "*" in as_list(s["Resource"])]
    assert statement["Sid"] == "SeeTheAccount"
    assert all(re.fullmatch(r"[a-z-]+:(?:Describe|Get|List)\w+", a) for a in statement["Action"])


def test_the_policy_fits_into_a_managed_policy() -> None:
    """AWS: IAM quotas, 6,144 characters without blanks; names in the template are about as long."""
    assert len(json.dumps(STATEMENTS, separators=(",", ":"))) < 6_144


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


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
        if "cloudformation:DescribeStacks" in statement["Action"]
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
