"""What is to be warm: the parts of the table, what an event needs of each, and its parameter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from operations import prices, table_checks
from operations.account.facts import TableState, Warmth
from operations.needs import Needs

_LEAST_UNITS: Final = 100
"""AWS: the smallest reservation of an Application Load Balancer."""
_COLD: Final = Warmth(write_units=0, read_units=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Warm throughput of one kind of one part of the table."""

    what: str
    parameter: str
    """Of `pipeline.yaml`."""
    needs: Callable[[Needs], int]

    @property
    def index(self) -> str | None:
        """The index; None for the table itself."""
        return table_checks.WARM[self.parameter][0]

    @property
    def kind(self) -> Literal["write", "read"]:
        """The kind of its units."""
        return "read" if table_checks.WARM[self.parameter][1] == table_checks.READS else "write"

    def has(self, table: TableState) -> int:
        """Units a second that the part takes now."""
        part = self._part(table)
        return part.write_units if self.kind == "write" else part.read_units

    def is_warming(self, table: TableState) -> bool:
        """Whether more is under way."""
        return self._part(table).is_warming

    def _part(self, table: TableState) -> Warmth:
        return table.parts.get(self.index, _COLD)

    @property
    def dollars(self) -> float:
        """The price of a unit a second, paid once."""
        return prices.WARM_WRITE_DOLLARS if self.kind == "write" else prices.WARM_READ_DOLLARS


WARMTH: Final = (
    Wanted(
        what="table writes",
        parameter="TableWarmWriteUnits",
        needs=lambda needs: needs.table_write_units,
    ),
    Wanted(
        what="table reads",
        parameter="TableWarmReadUnits",
        needs=lambda needs: needs.table_read_units,
    ),
    Wanted(
        what="users' index writes",
        parameter="Gsi1WarmWriteUnits",
        needs=lambda needs: needs.index_write_units,
    ),
    Wanted(
        what="winners' index writes",
        parameter="Gsi2WarmWriteUnits",
        needs=lambda needs: needs.winners_index_write_units,
    ),
)


def reserved_units(needs: Needs) -> int:
    """How many LCUs to reserve: as AWS reserves no fewer than a hundred, or none."""
    needed = needs.load_balancer_units
    return max(needed, _LEAST_UNITS) if needed else 0
