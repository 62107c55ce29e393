"""What the service does for users: show an event, take a click, show and list requests."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from random import Random
from typing import Final, TypeVar

from config.settings import IngestSettings
from ingest.accept import Acceptor, Refused
from ingest.asgi import Answer, Headers
from ingest.authentication import cursor_key
from ingest.cursors import Cursors, InvalidCursor
from ingest.event_cache import EventCache
from ingest.gateway import Event, Gateway, Position, Unavailable
from ingest.http import Call, Handler, json_answer
from ingest.problems import (
    Problem,
    bad_request,
    not_found,
    too_many_requests,
    unauthorized,
    unavailable,
)
from ingest.tokens import Authenticator, Identity, InvalidToken
from ingest.waiting import MAX_WAIT_S, Waits
from runtime.stop import Stop
from schema.items import EventConfig, RequestItem
from schema.message import is_possible_id

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100
"""How many requests a page of a user's list holds; `openapi.json` says the same."""
RETRY_WITHIN_S: Final = 10
"""Whoever is refused is asked to come back within so many seconds, each at another moment: after
an outage, hundreds of thousands return."""
SHOWN_EVENT_TTL_S: Final = 1.0
"""How long an event is shown as it was read: as long as nobody notices."""
_AWAY: Final = "a service behind this one does not answer"

T = TypeVar("T")


class Endpoints:
    """The user's requests, each for the user of the bearer token alone."""

    def __init__(
        self,
        gateway: Gateway,
        authenticator: Authenticator,
        settings: IngestSettings,
        clock_ms: Callable[[], int],
        random: Random,
        stop: Stop,
    ) -> None:
        self._gateway = gateway
        self._authenticator = authenticator
        self._settings = settings
        self._clock_ms = clock_ms
        self._random = random
        self._events = EventCache(gateway.load_event, settings.event_cache_ttl_s)
        self._shown_events = EventCache(gateway.load_event, SHOWN_EVENT_TTL_S)
        self._waits = Waits(gateway.load_request_again, settings, stop, random)
        self._acceptor = Acceptor(gateway, settings, clock_ms)
        self._cursors = Cursors(cursor_key(settings))
        self._in_flight = 0
        self._in_flight_of: dict[str, int] = {}
        """How many of a user's requests are being answered."""

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Who answers each operation, by its id in `openapi.json`."""
        return {
            "participate": partial(self._bounded, self._participate),
            "event": partial(self._bounded, self._show_event),
            "request": self._show_request,
            "participations": partial(self._bounded, self._list_requests),
        }

    @property
    def waiting_count(self) -> int:
        """How many requests wait for a decision."""
        return self._waits.count

    async def _bounded(self, handle: Callable[[Call, Identity], Awaitable[T]], call: Call) -> T:
        """Answer for the token's user; refuse whoever would be one too many.

        503 where too many are being answered, 429 where too many are this user's.
        """
        if self._in_flight >= self._settings.max_pending_requests:
            raise self._unavailable("too many requests are waiting")
        of_users = self._in_flight_of
        user: str | None = None
        self._in_flight += 1
        try:
            identity = await self._authenticator.identify(call.bearer_token())
            call.access.user_hash = identity.user_hash
            mine = of_users.get(identity.user_id, 0)
            if mine >= self._settings.max_pending_per_user:
                raise too_many_requests(
                    "wait for the answers to your other requests", self._retry_after_s()
                )
            user = identity.user_id
            of_users[user] = mine + 1
            return await handle(call, identity)
        except InvalidToken as error:
            raise unauthorized(str(error), token_given=True) from error
        except Unavailable as error:
            raise self._unavailable(_AWAY) from error
        finally:
            self._in_flight -= 1
            if user is not None:
                if of_users[user] > 1:
                    of_users[user] -= 1
                else:
                    del of_users[user]

    def _unavailable(self, detail: str, request_id: str | None = None) -> Problem:
        return unavailable(detail, self._retry_after_s(), request_id)

    def _retry_after_s(self) -> int:
        return self._random.randint(1, RETRY_WITHIN_S)

    async def _participate(self, call: Call, identity: Identity) -> Answer:
        """Take a click (domain §5)."""
        event_id = call.path["eventId"]
        event = await _found(self._events, event_id)
        _check_open(event.config, self._clock_ms())
        acceptance = await self._acceptor.accept(event.config, identity.user_id)
        call.access.request_id = acceptance.request_id
        if isinstance(acceptance, Refused):
            raise self._unavailable(
                "the request could not be queued; ask again", acceptance.request_id
            )
        # Where the decision will be, and that one may ask for it now: the answer waits for it.
        decision = f"/requests/{acceptance.request_id}?wait={MAX_WAIT_S}"
        return json_answer(
            {"requestId": acceptance.request_id, "isDuplicate": acceptance.is_duplicate},
            202,
            ((b"location", decision.encode()),),
        )

    async def _show_event(self, call: Call, _identity: Identity) -> Answer:
        """Show an event as it was within the last second."""
        event = await _found(self._shown_events, call.path["eventId"])
        config, capacity = event.config, event.capacity
        return json_answer(
            {
                "eventId": config.event_id,
                "eventType": config.event_type,
                "opensAt": config.opens_at_ms,
                "closesAt": config.closes_at_ms,
                "capacityTotal": None if capacity is None else capacity.total,
                "soldOut": capacity is not None and capacity.remaining <= 0,
                "now": self._clock_ms(),
            }
        )

    async def _show_request(self, call: Call) -> Answer:
        """Show a request to its owner, when it is decided or the time to wait is over."""
        request, wait_s = await self._bounded(self._own_request, call)
        more: Headers = ()
        if wait_s and not request.status.is_final:
            try:
                waited = await self._waits.until_decided(request, wait_s, call.client_done)
            except Unavailable as error:
                raise self._unavailable(_AWAY) from error
            request = waited.request
            if waited.was_cut_short:
                more = ((b"retry-after", b"%d" % self._retry_after_s()),)
        return json_answer(_shown(request), more=more)

    async def _own_request(self, call: Call, identity: Identity) -> tuple[RequestItem, int]:
        """A request of the caller's, and how long to wait for it; to others it does not exist."""
        wait_s = _whole_number("wait", call.query("wait").get("wait", "0"), 0, MAX_WAIT_S)
        request_id = call.path["requestId"]
        request = None
        if is_possible_id(request_id):
            request = await self._gateway.load_request(request_id)
        if request is None or request.user_id != identity.user_id:
            raise not_found("request")
        call.access.request_id = request.request_id
        return request, wait_s

    async def _list_requests(self, call: Call, identity: Identity) -> Answer:
        """List the caller's requests, newest first."""
        query = call.query("limit", "cursor")
        limit = _whole_number("limit", query.get("limit", f"{DEFAULT_LIMIT}"), 1, MAX_LIMIT)
        after: Position | None = None
        if "cursor" in query:
            try:
                after = self._cursors.read(identity.user_id, query["cursor"])
            except InvalidCursor as error:
                raise bad_request(str(error)) from error
        page = await self._gateway.user_requests(identity.user_id, limit, after)
        following = page.next
        return json_answer(
            {
                "items": [_shown(request) for request in page.requests],
                "nextCursor": None
                if following is None
                else self._cursors.write(identity.user_id, following),
            }
        )


def _check_open(event: EventConfig, now_ms: int) -> None:
    if event.opens_at_ms is not None and now_ms < event.opens_at_ms:
        raise Problem(
            409,
            "event-not-open",
            "The event is not open yet",
            extra={"opensAt": event.opens_at_ms},
        )
    if event.closes_at_ms is not None and now_ms >= event.closes_at_ms:
        raise Problem(
            409, "event-closed", "The event is closed", extra={"closesAt": event.closes_at_ms}
        )


def _whole_number(name: str, text: str, least: int, most: int) -> int:
    """A parameter's value; raises Problem 400."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len("100") else -1
    if not least <= number <= most:
        raise bad_request(f"{name} must be a whole number from {least} to {most}")
    return number


async def _found(events: EventCache, event_id: str) -> Event:
    """An event; raises Problem 404."""
    event = await events.get(event_id) if is_possible_id(event_id) else None
    if event is None:
        raise not_found("event")
    return event


def _shown(request: RequestItem) -> dict[str, str | int | None]:
    """What a request's owner sees of it."""
    return {
        "requestId": request.request_id,
        "eventId": request.event_id,
        "eventType": request.event_type,
        "status": request.status.value,
        "resultCode": request.result_code,
        "requestedAt": request.requested_at_ms,
        "queuedAt": request.queued_at_ms,
        "startedAt": request.started_at_ms,
        "finishedAt": request.finished_at_ms,
    }
