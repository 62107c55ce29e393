"""Where the next page of a user's list starts, as an opaque text bound to that user."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from ingest.gateway import Position
from schema.keys import MAX_TIME_MS
from schema.message import MAX_ID_BYTES, is_possible_id

_TIME_BYTES: Final = 6
_TAG_BYTES: Final = 16
_PURPOSE: Final = b"list-cursor"  # the key serves other purposes, too: BLAKE2's personalisation
MAX_CURSOR_CHARS: Final = (_TAG_BYTES + _TIME_BYTES + MAX_ID_BYTES + 2) // 3 * 4


class InvalidCursor(ValueError):
    """A cursor that we did not make for this user."""


class Cursors:
    """Makes and reads cursors; stateless, the same in every process with the same key.

    A cursor names only a position. The partition it is used in is always that of the token's
    user, so that even a forged one would never reach another user's rows.
    """

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.blake2b(key, digest_size=32).digest()

    def write(self, user_id: str, position: Position) -> str:
        """Make the cursor of a position in a user's list."""
        time = position.queued_at_ms.to_bytes(_TIME_BYTES, "big")
        payload = time + position.request_id.encode()
        return _to_text(self._tag(user_id, payload) + payload)

    def read(self, user_id: str, cursor: str) -> Position:
        """Read a cursor back; raises InvalidCursor."""
        raw = _to_bytes(cursor)
        tag, payload = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(user_id, payload)):
            raise InvalidCursor("the cursor is not one of yours")
        # The key may be known (docs/decisions): what the tag vouches for is checked as well.
        queued_at_ms = int.from_bytes(payload[:_TIME_BYTES], "big")
        try:
            request_id = payload[_TIME_BYTES:].decode()
        except UnicodeDecodeError:
            raise InvalidCursor("the cursor is not one of ours") from None
        if queued_at_ms > MAX_TIME_MS or not is_possible_id(request_id):
            raise InvalidCursor("the cursor is not one of ours")
        return Position(queued_at_ms, request_id)

    def _tag(self, user_id: str, payload: bytes) -> bytes:
        # The length keeps a user "ab" with payload "c" apart from "a" with "bc".
        user = user_id.encode()
        text = len(user).to_bytes(2, "big") + user + payload
        return hashlib.blake2b(
            text, digest_size=_TAG_BYTES, key=self._key, person=_PURPOSE
        ).digest()


def _to_text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _to_bytes(cursor: str) -> bytes:
    if len(cursor) > MAX_CURSOR_CHARS or not cursor.isascii():
        raise InvalidCursor("the cursor is not one of ours")
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raise InvalidCursor("the cursor is not one of ours") from None
    # The decoder ignores foreign characters and spare bits: only the one spelling counts.
    if len(raw) <= _TAG_BYTES + _TIME_BYTES or _to_text(raw) != cursor:
        raise InvalidCursor("the cursor is not one of ours")
    return raw
