"""Fixtures of the settings' tests."""

import pytest

from config.settings import IngestSettings, WorkerSettings
from tests.config.support import REQUIRED


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that holds what must be set, and nothing else that a program reads."""
    for kind in (WorkerSettings, IngestSettings):
        for name in kind.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch
