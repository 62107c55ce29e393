"""The resources of a run, as infra/pipeline.yaml makes them: events, queues, rule, stream."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from schema import names
from schema.items import Capacity, EventConfig
from simulation.aws.cloud import Cloud
from simulation.aws.eventbridge import Rule
from simulation.aws.firehose import Buffering, Stream
from simulation.scenario import Scenario
from simulation.settings import DEAD_LETTER_QUEUE, LOST_EVENTS_QUEUE, QUEUE


def make(cloud: Cloud, scenario: Scenario, created: Callable[[Mapping[str, Any]], object]) -> None:
    """Make them all; `created` learns of each event's capacity item."""
    write_events(cloud, scenario)
    for event in scenario.events:
        capacity = Capacity(event_id=event.event_id, total=event.seats, remaining=event.seats)
        cloud.table.seed(capacity.to_item())
        created(capacity.to_item())
    cloud.bus.rules.append(
        Rule(
            frozenset({names.WORKER_SOURCE}),
            frozenset({names.PARTICIPATION_PROCESSED, names.REQUEST_FAILED}),
            Stream("lake", cloud.account, Buffering()),
        )
    )
    _create_queue(cloud, DEAD_LETTER_QUEUE, {})
    _create_queue(cloud, LOST_EVENTS_QUEUE, {})
    policy = {
        "deadLetterTargetArn": cloud.account.arn("sqs", DEAD_LETTER_QUEUE),
        "maxReceiveCount": scenario.max_receive_count,
    }
    _create_queue(cloud, QUEUE, {"RedrivePolicy": orjson.dumps(policy).decode()})


def write_events(cloud: Cloud, scenario: Scenario, *, have_defect: bool = False) -> None:
    """Write the configuration of each event, or one that breaks the contract."""
    for event in scenario.events:
        item = EventConfig(event_id=event.event_id, event_type=event.event_type).to_item()
        cloud.table.seed({**item, "eventType": {"N": "0"}} if have_defect else item)


def _create_queue(cloud: Cloud, name: str, attributes: Mapping[str, str]) -> None:
    call = {"QueueName": name, "Attributes": attributes}
    cloud.handle("AmazonSQS.CreateQueue", orjson.dumps(call), lambda _status, _document: None)
