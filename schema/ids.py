"""Which texts can be ids: those that a key, a message and a log line can all hold."""

import re
from typing import Final

from schema.message import MAX_ID_BYTES

# Control characters, lone surrogates and the two characters that SQS refuses in a message
# (SendMessage: "Valid characters").
_IMPOSSIBLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def is_possible_id(text: str) -> bool:
    """Whether a text could name an event, a request or a user."""
    return not _IMPOSSIBLE.search(text) and 0 < len(text.encode()) <= MAX_ID_BYTES
