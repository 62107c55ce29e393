"""Counts the units of one kind that one table or index takes, and says when it bears no more."""

from typing import Final, Literal

from config.limits import DYNAMODB_TABLE_UNITS

Kind = Literal["write", "read"]

_WINDOW_S: Final = 30 * 60
_GROWTH: Final = 2
_BUCKET_S: Final = 1 + 1e-6
"""What a bucket holds, and a bit: a thousand thousandths are not quite one."""


class Meter:
    """Reads or writes of one resource, limited as a whole and for each partition key value.

    Each limit is a bucket that holds one second's units. Its state is the time at which it will be
    full again; one that is not remembered is full.
    """

    def __init__(
        self, of: str, kind: Kind, warm_units: float | None, partition_units: float | None
    ) -> None:
        self.total = 0.0
        self.warm_units = warm_units
        """What the whole resource bears a second; grows with what it has borne."""
        self._limit = f"{of}_{kind}_units"
        self._partition_limit = f"partition_{kind}_units"
        self._partition_units = partition_units
        self._full_at = 0.0
        self._partitions_full_at: dict[str, float] = {}
        self._second_ends_at = 0.0
        self._second_units = 0.0
        self._window_ends_at: float | None = None
        self._peak_units = 0.0

    def lacking(self, partition: str, units: float, now: float) -> str | None:
        """The name of the limit that is in the way of so many units, or None.

        One partition key value gets at best a partition of its own ("split for heat"), and neither
        burst nor adaptive capacity lifts a partition's limit (DynamoDB Developer Guide, "Best
        practices for designing partition keys").
        """
        if now >= self._second_ends_at:
            self._begin_second(now)
        full_at, per_s = self._full_at, self.warm_units
        # A full bucket gives more than it holds, and owes it.
        if per_s is not None and now < full_at > now + _BUCKET_S - units / per_s:
            return self._limit
        per_s = self._partition_units
        if per_s is not None:
            full_at = self._partitions_full_at.get(partition, 0.0)
            if now < full_at > now + _BUCKET_S - units / per_s:
                return self._partition_limit
        return None

    def take(self, partition: str, units: float, now: float) -> None:
        """Use units, which `lacking` has just found to be there."""
        self.total += units
        self._second_units += units
        per_s = self.warm_units
        if per_s is not None:
            self._full_at = max(self._full_at, now) + units / per_s
        per_s = self._partition_units
        if per_s is not None:
            full_at = max(self._partitions_full_at.get(partition, 0.0), now)
            self._partitions_full_at[partition] = full_at + units / per_s

    def _begin_second(self, now: float) -> None:
        still = self._partitions_full_at
        self._partitions_full_at = {name: at for name, at in still.items() if at > now}
        self._second_ends_at = now + 1
        if self.warm_units is not None:
            # What a full bucket gives at the start of a load is no throughput that was sustained.
            self._peak_units = max(self._peak_units, min(self._second_units, self.warm_units))
            self._grow(now, self.warm_units)
        self._second_units = 0.0

    def _grow(self, now: float, warm_units: float) -> None:
        """Every half hour an on-demand table bears twice its peak, and never less than before.

        (DynamoDB Developer Guide, "On-demand capacity mode", initial throughput and scaling.) AWS
        grows continuously; what matters is that a burst of minutes meets what was there before it.
        """
        if self._window_ends_at is None:
            self._window_ends_at = now + _WINDOW_S
        elif now >= self._window_ends_at:
            grown = min(_GROWTH * self._peak_units, DYNAMODB_TABLE_UNITS)
            self.warm_units = max(warm_units, grown)
            self._window_ends_at = now + _WINDOW_S
