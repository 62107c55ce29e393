"""The statements of writes that are made from prepared texts."""

from aws import statements
from schema.items import RequestItem
from schema.states import Status


def test_the_step_to_queued_is_one_statement_on_condition_of_received() -> None:
    received = RequestItem(
        request_id="r1",
        event_id="e1",
        user_id="u1",
        event_type="FIRST_COME",
        status=Status.RECEIVED,
        requested_at_ms=1_704_289_999_990,
    )

    assert statements.mark_statement("T", received, 1_704_290_000_000) == {
        "Statement": (
            'UPDATE "T" SET "status"=? SET "queuedAt"=? SET "GSI1PK"=? SET "GSI1SK"=? '
            'WHERE "PK"=? AND "SK"=? AND "status"=?'
        ),
        "Parameters": [
            {"S": "QUEUED"},
            {"N": "1704290000000"},
            {"S": "USER#u1"},
            {"S": "QAT#1704290000000#REQ#r1"},
            {"S": "REQ#r1"},
            {"S": "META"},
            {"S": "RECEIVED"},
        ],
    }
