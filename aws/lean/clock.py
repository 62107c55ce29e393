"""AWS's time, as far as ours differs from it: requests are signed with it."""

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

import structlog

_TOLERANCE_S: Final = 240.0
"""As the AWS SDKs have it: a signature is good for five minutes ("Elements of an AWS API request
signature"), of which a slow call may take one."""
_CODES: Final = frozenset(
    {
        "AuthFailure",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
"""What services answer to a request signed at another time than theirs, and partly also to one
whose signature is wrong ("Common errors" of their API references)."""

log = structlog.get_logger("aws")


class AwsClock:
    """Our clock, corrected by what a service's refusals show.

    `time` is ours, in epoch seconds.
    """

    def __init__(self, service: str, time: Callable[[], float]) -> None:
        self._service = service
        self._time = time
        self._offset_s = 0.0

    def time(self) -> float:
        """AWS's time, in epoch seconds, as far as it is known."""
        return self._time() + self._offset_s

    def corrected(self, code: str, date: str | None, signed_at_s: float) -> bool:
        """Whether a call was refused for the time of its signature, which is right from now on.

        `code` and `date` are the answer's error code and its Date header. Such a call had no
        effect: it may be repeated, with a new signature.
        """
        theirs_s = _epoch_s(date) if code in _CODES else None
        if theirs_s is None or abs(theirs_s - signed_at_s) <= _TOLERANCE_S:
            return False
        offset_s = theirs_s - self._time()
        # Calls that were under way together are refused together: one of them says so.
        if abs(offset_s - self._offset_s) > _TOLERANCE_S:
            log.warning("clock_skewed", service=self._service, offset_s=round(offset_s))
        self._offset_s = offset_s
        return True


def _epoch_s(date: str | None) -> float | None:
    """The seconds that a Date header names (RFC 9110 §6.6.1); None where it names none."""
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
