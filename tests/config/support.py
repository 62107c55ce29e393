"""What the settings' tests share: a complete environment, and the errors of a wrong one."""

import pytest
from pydantic_settings import BaseSettings

from config.settings import SettingsError, load

REQUIRED = {
    "AWS_REGION": "ap-northeast-2",
    "QUEUE_URL": "http://queue",
    "DLQ_URL": "http://dlq",
}
SECRET = "0123456789abcdef0123456789abcdef"  # pragma: allowlist secret


def errors_of(kind: type[BaseSettings]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(kind)
    first, *lines = str(caught.value).splitlines()
    assert first == "wrong settings:"
    return [line.strip() for line in lines]
