"""The people: how they click, how long they wait, and when they click again or give up."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Any, cast

import anyio

from simulation.aws.account import Account
from simulation.aws.cloud import Cloud
from simulation.crowd import Crowd
from simulation.loop import START_S, running
from simulation.nodes import World
from simulation.programs import Answer, IngestNode, Respond
from simulation.scenario import EventPlan, Load, Scenario
from simulation.settings import QUEUE
from tests.virtual_time import virtual_time

ACCEPTED = Answer(202, "the-request")
Answers = Callable[[int], Answer | None]
"""The nth click's answer; None: there is none."""


class Ingest:
    """Stands where a node stands, and answers by the number of the click."""

    def __init__(self, answers: Answers, *, is_ready: bool = True, after_s: float = 0.0) -> None:
        self._answers = answers
        self._after_s = after_s
        self.is_ready = is_ready
        self.clicks: list[tuple[float, str, str]] = []

    def click(self, user_id: str, event_id: str, respond: Respond) -> None:
        loop = running()
        self.clicks.append((round(loop.time() - START_S, 6), user_id, event_id))
        answer = self._answers(len(self.clicks))
        if answer is not None:
            loop.call_later(self._after_s, respond, answer)

    def waits_s(self) -> list[float]:
        """The times between its clicks."""
        times_s = [at_s for at_s, _, _ in self.clicks]
        return [round(later - earlier, 6) for earlier, later in pairwise(times_s)]


class Clock:
    def __init__(self) -> None:
        loop = running()
        self.time, self.call_later = loop.time, loop.call_in_the_world

    def epoch_ms(self) -> int:
        return round(self.time() * 1000)


class Street:
    """A crowd before some ingests."""

    def __init__(self, ingests: Sequence[Ingest], **load: Any) -> None:
        given = {"rate": 10.0, "seconds": 100.0, "most_clicks": 1, **load}
        scenario = Scenario(
            name="test",
            seed=1,
            events=(EventPlan(event_id="a", seats=1), EventPlan(event_id="b", seats=1, share=0.0)),
            load=Load(**given),
        )
        self.cloud = Cloud(Account(Clock()))
        self.queue = self.cloud.queue(QUEUE)
        world = cast("World", _PartOfAWorld(scenario, self.cloud))
        self.promised: list[str] = []
        nodes = cast("Sequence[IngestNode]", ingests)
        self.crowd = Crowd(world, nodes, Random(1), self.promised.append)

    async def until_done(self) -> Crowd:
        self.crowd.begin()
        await self.crowd.done.wait()
        return self.crowd


class _PartOfAWorld:
    """What a crowd needs of the world."""

    def __init__(self, scenario: Scenario, cloud: Cloud) -> None:
        self.loop = running()
        self.scenario = scenario
        self.cloud = cloud


@virtual_time
async def test_an_accepted_click_is_a_promise_with_the_time_that_it_took() -> None:
    street = Street([Ingest(lambda _: ACCEPTED, after_s=0.25)])
    crowd = await street.until_done()
    assert street.promised == ["the-request"]
    assert crowd.accepted == {"the-request"}
    assert crowd.answers == {202: 1}
    assert [round(seconds, 6) for seconds in crowd.answer_times_s] == [0.25]
    assert crowd.refused == 0


@virtual_time
async def test_people_come_back_when_retry_after_says_so() -> None:
    answers = [Answer(503, retry_after_s=3.0), Answer(503, retry_after_s=7.0), ACCEPTED]
    ingest = Ingest(lambda click: answers[click - 1])
    crowd = await Street([ingest]).until_done()
    assert ingest.waits_s() == [3.0, 7.0]
    assert crowd.answers == {503: 2, 202: 1}


@virtual_time
async def test_without_retry_after_people_click_again_after_a_second() -> None:
    ingest = Ingest(lambda click: ACCEPTED if click == 2 else Answer(0))
    await Street([ingest]).until_done()
    assert ingest.waits_s() == [1.0]


@virtual_time
async def test_people_lose_patience_after_ten_seconds_and_still_see_a_late_answer() -> None:
    ingest = Ingest(lambda click: ACCEPTED if click == 1 else None, after_s=10.5)
    street = Street([ingest])
    crowd = await street.until_done()
    assert crowd.answers == {0: 1, 202: 1}
    assert street.promised == ["the-request"]
    await anyio.sleep(100)
    # Who is satisfied does not click again.
    assert len(ingest.clicks) == 1


@virtual_time
async def test_a_click_without_any_answer_is_made_again_after_the_patience() -> None:
    ingest = Ingest(lambda click: ACCEPTED if click == 2 else None)
    await Street([ingest]).until_done()
    assert ingest.waits_s() == [11.0]


@virtual_time
async def test_people_give_up_after_their_retries_and_are_counted() -> None:
    ingest = Ingest(lambda _: Answer(503, retry_after_s=1.0))
    crowd = await Street([ingest], retries=2).until_done()
    assert len(ingest.clicks) == 3
    assert crowd.refused == 1
    assert crowd.accepted == set()


@virtual_time
async def test_where_no_ingest_is_ready_the_connection_is_refused() -> None:
    away = Ingest(lambda _: ACCEPTED, is_ready=False)
    crowd = await Street([away], retries=1).until_done()
    assert away.clicks == []
    assert crowd.answers == {0: 2}


@virtual_time
async def test_clicks_go_to_the_ingests_in_turn_and_past_those_that_are_away() -> None:
    first, away, last = (
        Ingest(lambda _: ACCEPTED),
        Ingest(lambda _: ACCEPTED, is_ready=False),
        Ingest(lambda _: ACCEPTED),
    )
    await Street([first, away, last], most_clicks=10).until_done()
    assert (len(first.clicks), len(away.clicks), len(last.clicks)) == (5, 0, 5)


@virtual_time
async def test_the_impatient_click_the_same_event_again_within_a_second() -> None:
    ingest = Ingest(lambda _: ACCEPTED)
    crowd = await Street([ingest], most_clicks=5, impatience=1.0).until_done()
    assert crowd.clicks == 5
    assert len(ingest.clicks) == 10
    for user in {user for _, user, _ in ingest.clicks}:
        first, second = (at_s for at_s, name, _ in ingest.clicks if name == user)
        assert second - first < 1.0


@virtual_time
async def test_nobody_comes_after_the_load_is_over() -> None:
    ingest = Ingest(lambda _: ACCEPTED)
    await Street([ingest], rate=100.0, seconds=2.0, most_clicks=None).until_done()
    assert 150 < len(ingest.clicks) < 250
    assert ingest.clicks[-1][0] <= 2.0


@virtual_time
async def test_an_event_without_a_share_gets_no_clicks() -> None:
    ingest = Ingest(lambda _: ACCEPTED)
    await Street([ingest], most_clicks=20).until_done()
    assert {event for _, _, event in ingest.clicks} == {"a"}


@virtual_time
async def test_other_producers_put_messages_into_the_queue_that_name_no_request() -> None:
    street = Street([Ingest(lambda _: ACCEPTED)], most_clicks=8, foreign=1.0)
    crowd = await street.until_done()
    assert crowd.foreign == 8
    assert street.queue.waiting == 8
