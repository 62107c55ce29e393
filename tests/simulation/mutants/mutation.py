"""A mutation: one wrong step of one module, as an exact replacement in its source."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]


class DoesNotApplyError(ValueError):
    """The module has changed: the text to replace is not there exactly once."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement; `before` stands exactly once in the module."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """What a careless change could do to a module of the product."""

    name: str
    breaks: str
    """What goes wrong, in one sentence."""
    module: str
    edits: tuple[Edit, ...]

    @property
    def path(self) -> Path:
        """Where the module's source is."""
        return ROOT / f"{self.module.replace('.', '/')}.py"

    def apply(self, source: str) -> str:
        """The mutated source; raises DoesNotApplyError."""
        for edit in self.edits:
            count = source.count(edit.before)
            if count != 1:
                raise DoesNotApplyError(
                    f"{self.name}: {edit.before!r} stands {count} times in {self.module}"
                )
            source = source.replace(edit.before, edit.after)
        return source


def replaced(name: str, breaks: str, module: str, *texts: tuple[str, str]) -> Mutation:
    """A mutation from pairs of texts: what stands there, and what stands there instead."""
    return Mutation(name, breaks, module, tuple(Edit(before, after) for before, after in texts))
