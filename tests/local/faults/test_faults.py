"""Which calls a fault strikes: those of a service, and those beyond a quota."""

from random import Random

import pytest

from local.faults import actions, http1
from local.faults.actions import THROTTLE, Fault, Quota, Refuse, Target
from local.faults.proxy import FaultProxy

DYNAMODB = "DynamoDB_20120810"


def call(service: str, operation: str) -> Target:
    return Target(service, operation, http1.response(200, "text/plain", b""), {}, Random(1))


def test_a_fault_of_a_service_leaves_the_others_alone() -> None:
    injection = FaultProxy("http://127.0.0.1:1").add(Fault("*", Refuse(), service=DYNAMODB))

    assert injection.plan(call(DYNAMODB, "BatchGetItem")) is not None
    assert injection.plan(call(DYNAMODB, "TransactWriteItems")) is not None
    assert injection.plan(call("AmazonSQS", "ReceiveMessage")) is None
    assert injection.plan(call("AWSEvents", "PutEvents")) is None


def test_a_quota_throttles_what_exceeds_its_rate_and_forgets_what_was_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 1_000.0
    monkeypatch.setattr(actions, "monotonic", lambda: now_s)
    quota, target = Quota(8), call("AWSEvents", "PutEvents")

    def passed(calls: int) -> int:
        plans = [quota.plan(target) for _ in range(calls)]
        assert all(plan in (None, THROTTLE.plan(target)) for plan in plans)
        return plans.count(None)

    assert passed(50) == 9
    now_s += 0.5
    assert passed(50) == 4
    now_s += 3_600
    assert passed(50) == 9
