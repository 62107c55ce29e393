"""What must hold at every instant of a run, and what must hold in the end (docs/domain.md)."""
