"""The people: they click at random moments, and click again where they are not accepted."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import anyio
import orjson

from schema import keys
from schema.message import ParticipationMessage
from simulation.aws.cloud import queue_url
from simulation.nodes import World
from simulation.programs import Answer, IngestNode
from simulation.settings import QUEUE

_ACCEPTED: Final = 202
_PATIENCE_S: Final = 10.0
"""After this time without an answer, people click again."""
_TRY_AGAIN_S: Final = 1.0
_NOT_JSON: Final = "{not json"


@dataclass(slots=True)
class _Click:
    """One click, until it is answered."""

    user_id: str
    event_id: str
    tries_left: int
    began_at_s: float
    is_settled: bool = False


class Crowd:
    """Clicks on ingest by the scenario's load, and notes what people were promised."""

    def __init__(
        self,
        world: World,
        ingests: Sequence[IngestNode],
        random: Random,
        promised: Callable[[str], None],
    ) -> None:
        self._world = world
        self._ingests = ingests
        self._random = random
        self._promised = promised
        self._load = world.scenario.load
        self._events = [event.event_id for event in world.scenario.events]
        self._shares = [event.share for event in world.scenario.events]
        self._under_way = 0
        self._is_over = False
        self._next = 0
        self.done = anyio.Event()
        """Set when everybody has clicked and knows the answer."""
        self.clicks = 0
        self.accepted: set[str] = set()
        self.answers: Counter[int] = Counter()
        self.refused: int = 0
        """People who gave up."""
        self.answer_times_s: list[float] = []
        self.foreign = 0
        """Messages of other producers that name no request."""

    def begin(self) -> None:
        """Let the clicks begin."""
        self._schedule_next(self._world.loop.time())

    def _schedule_next(self, began_at_s: float) -> None:
        loop = self._world.loop
        gap_s = self._random.expovariate(self._load.rate)
        enough = self._load.most_clicks is not None and self.clicks >= self._load.most_clicks
        if enough or loop.time() + gap_s > began_at_s + self._load.seconds:
            self._is_over = True
            self._check_done()
            return
        loop.call_in_the_world(gap_s, self._arrive, began_at_s)

    def _arrive(self, began_at_s: float) -> None:
        self.clicks += 1
        user_id = f"user-{self.clicks}"
        event_id = self._random.choices(self._events, self._shares)[0]
        self._click(user_id, event_id)
        if self._random.random() < self._load.impatience:
            self._under_way += 1
            self._world.loop.call_in_the_world(
                self._random.random(), self._click_again, user_id, event_id
            )
        if self._random.random() < self._load.foreign:
            self._send_foreign()
        self._schedule_next(began_at_s)

    def _click_again(self, user_id: str, event_id: str) -> None:
        self._under_way -= 1
        self._click(user_id, event_id)

    def _click(self, user_id: str, event_id: str) -> None:
        self._under_way += 1
        self._try(_Click(user_id, event_id, self._load.retries, self._world.loop.time()))

    def _try(self, click: _Click) -> None:
        if click.is_settled:
            return  # a late answer was good
        answered = False

        def respond(answer: Answer) -> None:
            nonlocal answered
            if not answered or answer.status == _ACCEPTED:
                is_first, answered = not answered, True
                patience.cancel()
                self._answered(click, answer, again=is_first)

        loop = self._world.loop
        ingest = self._choose()
        if ingest is None:
            self._answered(click, Answer(0), again=True)
            return
        patience = loop.call_in_the_world(_PATIENCE_S, respond, Answer(0))
        ingest.click(click.user_id, click.event_id, respond)

    def _choose(self) -> IngestNode | None:
        for _ in self._ingests:
            self._next = (self._next + 1) % len(self._ingests)
            if self._ingests[self._next].is_ready:
                return self._ingests[self._next]
        return None

    def _answered(self, click: _Click, answer: Answer, *, again: bool) -> None:
        """Take an answer; one that comes after the user lost patience is seen as well."""
        self.answers[answer.status] += 1
        if answer.status == _ACCEPTED and answer.request_id is not None:
            self.accepted.add(answer.request_id)
            self.answer_times_s.append(self._world.loop.time() - click.began_at_s)
            self._promised(answer.request_id)
            self._settle(click)
        elif again and not click.is_settled:
            click.tries_left -= 1
            if click.tries_left < 0:
                self.refused += 1
                self._settle(click)
            else:
                wait_s = answer.retry_after_s or _TRY_AGAIN_S
                self._world.loop.call_in_the_world(wait_s, self._try, click)

    def _settle(self, click: _Click) -> None:
        if not click.is_settled:
            click.is_settled = True
            self._under_way -= 1
            self._check_done()

    def _check_done(self) -> None:
        if self._is_over and not self._under_way:
            self.done.set()

    def _send_foreign(self) -> None:
        """Put a message into the queue as a careless producer would."""
        self.foreign += 1
        unknown = keys.request_id("no-such-event", f"stranger-{self.foreign}")
        body = self._random.choice(
            (_NOT_JSON, ParticipationMessage(unknown, "no-such-event", "stranger").encode())
        )
        call = {"QueueUrl": queue_url(QUEUE), "MessageBody": body}
        self._world.cloud.account.caller = "stranger"
        self._world.cloud.handle("AmazonSQS.SendMessage", orjson.dumps(call), lambda _s, _d: None)
