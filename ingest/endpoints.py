"""The three things the service does for users: take a click, show a request, list requests."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp

from ingest.accept import Acceptor, Refused
from ingest.cursors import Cursors, InvalidCursor
from ingest.event_cache import EventCache
from ingest.gateway import Gateway, Position, Unavailable
from ingest.http import Call, JsonAnswer
from ingest.ids import is_possible_id
from ingest.openapi import DEFAULT_LIMIT, MAX_LIMIT
from ingest.problems import Problem, bad_request, not_found, unauthorized, unavailable
from ingest.tokens import Authenticator, Identity, InvalidToken
from schema.items import EventConfig, RequestItem

_RETRY_SOON_S: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRules:
    """How the endpoints behave."""

    requeue_after_s: float
    max_in_flight: int


class Endpoints:
    """The user's requests, each for the user of the bearer token alone."""

    def __init__(
        self,
        gateway: Gateway,
        authenticator: Authenticator,
        *,
        events: EventCache,
        acceptor: Acceptor,
        cursors: Cursors,
        rules: EndpointRules,
        clock_ms: Callable[[], int],
    ) -> None:
        self._gateway = gateway
        self._authenticator = authenticator
        self._events = events
        self._acceptor = acceptor
        self._cursors = cursors
        self._rules = rules
        self._clock_ms = clock_ms
        self._in_flight = 0

    async def participate(self, call: Call) -> ASGIApp:
        """Take a click (domain §5)."""
        return await self._bounded(call, self._participate)

    async def request(self, call: Call) -> ASGIApp:
        """Show a request to its owner; to anybody else it does not exist."""
        return await self._bounded(call, self._request)

    async def participations(self, call: Call) -> ASGIApp:
        """List the caller's requests, newest first."""
        return await self._bounded(call, self._participations)

    async def _bounded(
        self, call: Call, handle: Callable[[Call, Identity], Awaitable[ASGIApp]]
    ) -> ASGIApp:
        """Answer for the token's user, or 503 at once where too many are being answered."""
        if self._in_flight >= self._rules.max_in_flight:
            raise unavailable("too many requests are waiting", _RETRY_SOON_S)
        self._in_flight += 1
        try:
            identity = await self._authenticator.identify(call.bearer_token())
            call.access.user_hash = identity.user_hash
            return await handle(call, identity)
        except InvalidToken as error:
            raise unauthorized(str(error), token_given=True) from error
        except Unavailable as error:
            raise unavailable("a service behind does not answer", _RETRY_SOON_S) from error
        finally:
            self._in_flight -= 1

    async def _participate(self, call: Call, identity: Identity) -> ASGIApp:
        event_id = call.path("event_id")
        event = await self._events.get(event_id) if is_possible_id(event_id) else None
        if event is None:
            raise not_found("event")
        _check_open(event, self._clock_ms())
        outcome = await self._acceptor.accept(event, identity.user_id)
        call.access.request_id = outcome.request_id
        if isinstance(outcome, Refused):
            # Another process takes the request up again only when it is this old.
            raise unavailable(
                "the request could not be queued; ask again",
                max(_RETRY_SOON_S, math.ceil(self._rules.requeue_after_s)),
                outcome.request_id,
            )
        return JsonAnswer(
            {"requestId": outcome.request_id, "isDuplicate": outcome.is_duplicate}, 202
        )

    async def _request(self, call: Call, identity: Identity) -> ASGIApp:
        request_id = call.path("request_id")
        request = await self._gateway.request(request_id) if is_possible_id(request_id) else None
        if request is None or request.user_id != identity.user_id:
            raise not_found("request")
        call.access.request_id = request.request_id
        return JsonAnswer(_shown(request))

    async def _participations(self, call: Call, identity: Identity) -> ASGIApp:
        query = call.query("limit", "cursor")
        limit = _limit(query.get("limit"))
        after: Position | None = None
        if "cursor" in query:
            try:
                after = self._cursors.read(identity.user_id, query["cursor"])
            except InvalidCursor as error:
                raise bad_request(str(error)) from error
        page = await self._gateway.user_requests(identity.user_id, limit, after)
        following = page.next
        return JsonAnswer(
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


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len("100") else 0
    if not 1 <= number <= MAX_LIMIT:
        raise bad_request(f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return number


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
