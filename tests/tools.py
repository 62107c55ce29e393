"""Tools that some tests need beyond Python: skipped without them, but not in CI."""

import os
from typing import NoReturn

import pytest


def missing(sentence: str) -> NoReturn:
    """Skip the test, or fail it where CI is set: CI installs the tools, and must test all."""
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)
