"""Checks at the start: all are made, and each that fails is one line."""

from aws import checks
from aws.checks import Missing
from aws.errors import Fatal, Rejected, Transient


async def is_there() -> None:
    pass


async def test_where_everything_is_there_nothing_is_wrong() -> None:
    assert await checks.missing({("TABLE_NAME", "T"): is_there}) == Missing()


async def test_every_kind_of_refusal_is_a_line_that_names_the_variable() -> None:
    async def unknown() -> None:
        raise Rejected("sqs", "GetQueueAttributes", "InvalidAddress", "not a queue")

    async def denied() -> None:
        raise Fatal("dynamodb", "DescribeTable", "AccessDenied", "not you")

    async def away() -> None:
        raise Transient("events", "DescribeEventBus", "ConnectTimeoutError", "no answer")

    missing = await checks.missing(
        {
            ("TABLE_NAME", "T"): denied,
            ("QUEUE_URL", "q"): unknown,
            ("DLQ_URL", "d"): is_there,
            ("EVENT_BUS_NAME", "b"): away,
        }
    )

    assert missing.away == [
        "EVENT_BUS_NAME=b: DescribeEventBus failed with ConnectTimeoutError: no answer"
    ]
    assert missing.wrong == [
        "QUEUE_URL=q: GetQueueAttributes failed with InvalidAddress: not a queue",
        "TABLE_NAME=T: DescribeTable failed with AccessDenied: not you",
    ]
