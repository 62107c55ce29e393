"""The name of this process in events and logs: the ECS task id, else the host name."""

import json
import os
import socket
import urllib.request
from urllib.error import HTTPError

_METADATA_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
_TIMEOUT_S = 2.0


def worker_id(configured: str | None) -> str:
    """The configured name, else the ECS task id, else the host name.

    The task id is the last segment of `TaskARN` (AWS: "Task metadata endpoint version 4").
    """
    if configured:
        return configured
    metadata_url = os.environ.get(_METADATA_VARIABLE)
    if metadata_url and metadata_url.startswith("http://"):
        try:
            with urllib.request.urlopen(f"{metadata_url}/task", timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the scheme was checked
                return str(json.load(answer)["TaskARN"]).rsplit("/", 1)[-1]
        except HTTPError as refusal:
            refusal.close()
        except (OSError, ValueError, KeyError, TypeError):
            pass
    return socket.gethostname()
