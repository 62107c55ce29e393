"""Python's garbage collector, tuned for long-running programs that make few cycles."""

import gc
from typing import Final

_COLLECT_AFTER_OBJECTS: Final = 50_000


def tune() -> None:
    """Look for cyclic garbage less often: we make little of it, and many objects that live on.

    With Python's own thresholds the collector takes a sixth of the time under load, mostly over
    the documents of AWS's answers.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS, 20, 50)
