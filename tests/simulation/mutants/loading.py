"""Loads a mutated module in place of the real one, in a process that has not imported it yet."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from tests.simulation.mutants.mutation import Mutation


class _Loader(SourceFileLoader):
    """Compiles the mutated source, and never takes the compiled file of the real one."""

    def __init__(self, mutation: Mutation) -> None:
        super().__init__(mutation.module, str(mutation.path))
        self._code: CodeType = compile(
            mutation.apply(mutation.path.read_text("utf-8")), str(mutation.path), "exec"
        )

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - as importlib calls it
        return self._code


class _Finder(MetaPathFinder):
    def __init__(self, mutation: Mutation) -> None:
        self._module = mutation.module
        self._loader = _Loader(mutation)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            spec.loader = self._loader
        return spec


def install(mutation: Mutation) -> None:
    """Have the module's next, and first, import load the mutation.

    Raises DoesNotApplyError, and RuntimeError where the real module is loaded already.
    """
    if mutation.module in sys.modules:
        raise RuntimeError(f"{mutation.module} is loaded already: {mutation.name} has no effect")
    sys.meta_path.insert(0, _Finder(mutation))
