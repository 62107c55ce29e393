"""Preflight and status on the embedded AWS, with services, and with an ingest that runs."""

from time import time

import pytest

from aws.client import Connection
from aws.sdk import open_client
from ingest import tokens
from local import templates
from local.emulator import stack as stacks
from local.emulator.stack import StackOutputs
from operations import status
from operations.account import clients
from operations.account.facts import TokenSource
from operations.account.tokens import tried
from operations.preflight.findings import Colour
from operations.preflight.run import preflight
from tests import programs
from tests.infra.test_service_deployed import SECRET_ARN, network
from tests.operations.account import NEEDS, asked_once_for_quotas

SECRET = "a secret of more than thirty-two bytes"  # pragma: allowlist secret
SOURCE = TokenSource(has_secret=True, jwks_url=None)
OURS = tokens.issue(SECRET, "somebody", now_s=time(), expires_in_s=3_600)


@pytest.fixture
async def services(connection: Connection, stack: StackOutputs) -> str:
    """The services on top of the test's own pipeline; returns the pipeline's name."""
    name = stack.work_group
    async with open_client("cloudformation", connection) as cloudformation:
        answer = await cloudformation.call("DescribeStacks", StackName=name)
    outputs = {o["OutputKey"]: o["OutputValue"] for o in answer["Stacks"][0]["Outputs"]}
    known = templates.load("service.yaml")["Parameters"]
    await stacks.deploy(
        connection,
        "service.yaml",
        f"{name}-service",
        {
            **{key: value for key, value in outputs.items() if key in known},
            **await network(connection),
            "ImageUri": "registry/participation-pipeline:1",
            "JwtSecretArn": SECRET_ARN,
        },
    )
    return name


async def test_what_the_emulator_has_is_judged_and_the_rest_is_not_known(
    connection: Connection, services: str
) -> None:
    await asked_once_for_quotas(connection)
    lines = await preflight(connection, services, NEEDS)
    found = {finding.check: finding for finding in lines}
    assert "alarms" not in found, found["alarms"]
    assert found["alarm recipients"].colour is Colour.RED
    assert "notify nobody: " in found["alarm recipients"].found
    for check in ("dead letters", "lost events", "undelivered events", "bus and rule", "clock"):
        assert found[check].colour is Colour.GREEN, found[check]
    for check in ("quotas of dynamodb", "worker tasks", "load balancer"):
        assert found[check].found.startswith("not known: "), found[check]


async def test_an_ingest_that_runs_accepts_a_token_of_its_secret_and_no_other(
    connection: Connection, stack: StackOutputs
) -> None:
    environment = programs.variables(connection, stack, JWT_SECRET=SECRET)
    async with programs.ingest(environment) as (_, url):
        statuses = [(await tried(SOURCE, url, token)).status for token in (OURS, f"{OURS}x", None)]
    assert statuses == [200, 401, 401]


async def test_status_shows_the_services_alarms_and_what_the_emulator_lacks(
    connection: Connection, services: str
) -> None:
    async with clients.opened(connection) as opened:
        seen = await status.read(opened, await status.place_of(opened, services))
    assert not isinstance(seen.alarms, str)
    assert {a.name.rpartition("-service-")[1] for a in seen.alarms} == {"", "-service-"}
    assert isinstance(seen.services, str)
    assert "DescribeScalableTargets" in seen.services
    assert not [depth for depth in seen.queues.values() if isinstance(depth, str)]
