"""Variables that look like a misspelt setting of ours: nothing would read them."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from config.settings import IngestSettings, TokenSettings, WorkerSettings

_SIMILARITY: Final = 0.89
"""One letter too few, too many or exchanged in a name of five, two in a name of ten."""
_FOREIGN_PREFIXES: Final = ("AWS_", "_")
_FOREIGN: Final = frozenset({"HTTPS_HOST", "HTTPS_PORT", "HTTP_PORTS", "HTTP_PATH"})
"""Names that other software reads, however near they are to one of ours."""

SETTINGS: Final = frozenset(
    name.upper()
    for kind in (WorkerSettings, IngestSettings, TokenSettings)
    for name in kind.model_fields
)


def near_misses(
    environment: Iterable[str], others: Collection[str] = frozenset()
) -> Mapping[str, str]:
    """The variables that are probably meant to be a setting that is not set, each with its name.

    `others` are further variables that the command line reads.
    """
    given = set(environment)
    known = SETTINGS | set(others)
    wanted = sorted(name for name in known - given if not name.startswith(_FOREIGN_PREFIXES))
    found: dict[str, str] = {}
    for name in sorted(given - known - _FOREIGN):
        if name.isupper() and not name.startswith(_FOREIGN_PREFIXES):
            for meant in get_close_matches(name, wanted, n=1, cutoff=_SIMILARITY):
                found[name] = meant
    return found
