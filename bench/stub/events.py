"""One EventBridge bus that counts the entries it takes."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from bench.stub import errors

_MAX_ENTRIES: Final = 10
_MAX_BYTES: Final = 1_048_576
_TIME_BYTES: Final = 14


class Bus:
    """Takes PutEvents and forgets the entries; an unknown bus drops them, as AWS's does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.accepted = 0
        self.refused = 0

    def put_events(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """PutEvents: an id or an error for each entry."""
        entries = payload["Entries"]
        if not 0 < len(entries) <= _MAX_ENTRIES:
            raise errors.validation("Member must have length less than or equal to 10")
        if sum(map(_size, entries)) >= _MAX_BYTES:
            raise errors.validation("Total size of the entries in the request is over the limit")
        results = [self._put(entry) for entry in entries]
        failed = sum("ErrorCode" in result for result in results)
        return {"FailedEntryCount": failed, "Entries": results}

    def describe_event_bus(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """DescribeEventBus."""
        name = payload.get("Name", "default")
        if name != self.name:
            raise errors.no_resource(f"Event bus {name} does not exist.")
        return {"Name": name, "Arn": f"arn:aws:events:us-east-1:000000000000:event-bus/{name}"}

    def _put(self, entry: Mapping[str, Any]) -> dict[str, str]:
        try:
            orjson.loads(entry["Detail"])
        except (KeyError, orjson.JSONDecodeError):
            self.refused += 1
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        if entry.get("EventBusName", "default") == self.name:
            self.accepted += 1
        return {"EventId": f"{self.accepted:08x}-0000-4000-8000-000000000000"}


def _size(entry: Mapping[str, Any]) -> int:
    size = sum(len(entry.get(name, "").encode()) for name in ("Source", "DetailType", "Detail"))
    return size + (_TIME_BYTES if "Time" in entry else 0)
