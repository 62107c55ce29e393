"""Gathers records into objects by size and age, as Firehose does: pure, its clock passed in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a stream, delimiter included."""

    data: bytes
    arrived_at_ms: int
    receipt_handle: str
    """Of the message that brought it, to be deleted once the record is stored."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one object, in the order of their arrival."""

    records: tuple[Record, ...]

    @property
    def arrived_at_ms(self) -> int:
        """When the oldest record arrived; it decides the object's prefix."""
        return min(record.arrived_at_ms for record in self.records)

    @property
    def body(self) -> bytes:
        """The object's content."""
        return b"".join(record.data for record in self.records)


class Buffer:
    """Holds the records of the object that is being gathered."""

    def __init__(self, max_bytes: int, max_age_s: float) -> None:
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._records: list[Record] = []
        self._bytes = 0
        self._due_at_s: float | None = None

    @property
    def due_at_s(self) -> float | None:
        """When the oldest record will have waited long enough; None while the buffer is empty."""
        return self._due_at_s

    def add(self, record: Record, now_s: float) -> list[Batch]:
        """Add a record; returns the objects that are complete by now, at most two.

        An object exceeds the size limit only where it is a single record that does.
        """
        complete: list[Batch] = []
        if self._records and self._bytes + len(record.data) > self._max_bytes:
            complete += self.take()
        if not self._records:
            self._due_at_s = now_s + self._max_age_s
        self._records.append(record)
        self._bytes += len(record.data)
        if self._bytes >= self._max_bytes:
            complete += self.take()
        return complete

    def take_due(self, now_s: float) -> list[Batch]:
        """Take the object if it is old enough by now."""
        is_due = self._due_at_s is not None and self._due_at_s <= now_s
        return self.take() if is_due else []

    def take(self) -> list[Batch]:
        """Take the object as it is; none where nothing is held."""
        if not self._records:
            return []
        batch = Batch(tuple(self._records))
        self._records, self._bytes, self._due_at_s = [], 0, None
        return [batch]
