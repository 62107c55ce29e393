"""How many winners go into one seat transaction: no more than the table bears."""

from typing import Final

from config.limits import SEATS_PER_TRANSACTION

_GROWTH: Final = 4
"""A quarter more after each success: from 1 back to 99 in 21 transactions, less than a second."""


class Size:
    """Half after a throttle, more after each full transaction that is committed.

    A transaction is all or none, and pays for what the table bore of it before it was cancelled:
    one that is larger than a second's throughput would be cancelled each time.
    """

    def __init__(self) -> None:
        self.most = SEATS_PER_TRANSACTION

    def throttled(self, winners: int) -> None:
        """Take note that a transaction of so many winners was throttled."""
        self.most = max(1, min(self.most, winners // 2))

    def committed(self, winners: int) -> None:
        """Take note of a success; one of fewer winners than allowed says nothing of more."""
        if winners >= self.most:
            more = max(1, self.most // _GROWTH)
            self.most = min(SEATS_PER_TRANSACTION, self.most + more)
