"""The bus adapter: PutEvents as AWS wants it, with a result per entry."""

import pytest

from aws.bus import Bus, BusEntry
from aws.errors import Fatal, Rejected, Transient
from tests.aws.scripted import ScriptedClient

ENTRY = BusEntry("source", "Type", b'{"a":1}', 1_704_290_000)


async def test_an_entry_names_bus_source_type_detail_and_time() -> None:
    client = ScriptedClient([{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}])

    assert await Bus(client, "bus").put([ENTRY]) == [None]
    assert client.calls == [
        (
            "PutEvents",
            {
                "Entries": [
                    {
                        "EventBusName": "bus",
                        "Source": "source",
                        "DetailType": "Type",
                        "Detail": '{"a":1}',
                        "Time": 1_704_290_000,
                    }
                ]
            },
        )
    ]


async def test_a_success_is_not_taken_for_all_entries() -> None:
    client = ScriptedClient(
        [
            {
                "FailedEntryCount": 3,
                "Entries": [
                    {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow"},
                    {"EventId": "2"},
                    {"ErrorCode": "InternalFailure"},
                    {"ErrorCode": "MalformedDetail"},
                ],
            }
        ]
    )

    results = await Bus(client, "bus").put([ENTRY] * 4)

    assert [type(result) for result in results] == [Transient, type(None), Transient, Rejected]
    assert str(results[0]) == "events.PutEvents: ThrottlingException: slow"


async def test_an_entry_that_the_answer_leaves_out_has_failed() -> None:
    client = ScriptedClient([{"Entries": [{"EventId": "1"}]}])

    results = await Bus(client, "bus").put([ENTRY, ENTRY])

    assert results[0] is None
    assert isinstance(results[1], Transient)


async def test_a_missing_bus_is_found_by_asking_for_it() -> None:
    missing = Fatal("events", "DescribeEventBus", "ResourceNotFoundException", "no")
    client = ScriptedClient([missing])

    with pytest.raises(Fatal):
        await Bus(client, "bus").check()

    assert client.calls == [("DescribeEventBus", {"Name": "bus"})]


def test_the_size_is_counted_as_aws_counts_it() -> None:
    # EventBridge User Guide, "PutEvents entry size": 14 bytes for Time, UTF-8 for the texts.
    assert BusEntry("ab", "cde", "가".encode(), ENTRY.time_s).size == 14 + 2 + 3 + 3
