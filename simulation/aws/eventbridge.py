"""One EventBridge bus that counts the entries it takes."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import orjson

from simulation.aws import errors
from simulation.aws.account import Account

_MAX_ENTRIES: Final = 10
_MAX_BYTES: Final = 1_048_576
_TIME_BYTES: Final = 14
_MALFORMED: Final = {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}


class Bus:
    """Takes PutEvents and forgets the entries; an unknown bus drops them, as AWS's does."""

    def __init__(self, name: str, account: Account) -> None:
        self.name = name
        self._account = account
        self.accepted = 0
        self.refused = 0

    def put_events(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """PutEvents: an id or an error for each entry."""
        entries = payload["Entries"]
        if not 0 < len(entries) <= _MAX_ENTRIES:
            raise errors.validation("Member must have length less than or equal to 10")
        most_bytes, accepted = 0, 0
        well_formed = []
        for entry in entries:
            detail = entry.get("Detail", "")
            # No text has more than four bytes a character; to count them exactly is seldom needed.
            characters = (
                len(detail) + len(entry.get("DetailType", "")) + len(entry.get("Source", ""))
            )
            most_bytes += 4 * characters + _TIME_BYTES
            try:
                orjson.loads(detail)
            except orjson.JSONDecodeError:
                well_formed.append(False)
                continue
            well_formed.append(True)
            accepted += entry.get("EventBusName", "default") == self.name
        if most_bytes >= _MAX_BYTES <= sum(map(_size, entries)):
            raise errors.validation("Total size of the entries in the request is over the limit")
        self.refused += well_formed.count(False)
        self.accepted += accepted
        return _answer(tuple(well_formed))

    def describe_event_bus(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """DescribeEventBus."""
        name = payload.get("Name", "default")
        if name != self.name:
            raise errors.no_resource(f"Event bus {name} does not exist.")
        return {"Name": name, "Arn": f"arn:aws:events:us-east-1:000000000000:event-bus/{name}"}


@lru_cache(maxsize=4096)
def _answer(well_formed: tuple[bool, ...]) -> dict[str, Any]:
    """The same ids every time: nobody distinguishes events by them."""
    results = [
        {"EventId": f"{number:08x}-0000-4000-8000-000000000000"} if well else _MALFORMED
        for number, well in enumerate(well_formed)
    ]
    document = orjson.Fragment(orjson.dumps(results))
    return {"FailedEntryCount": well_formed.count(False), "Entries": document}


def _size(entry: Mapping[str, Any]) -> int:
    size = sum(len(entry.get(name, "").encode()) for name in ("Source", "DetailType", "Detail"))
    return size + (_TIME_BYTES if "Time" in entry else 0)
