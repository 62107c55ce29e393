"""One EventBridge bus: takes entries within its quota, and hands them to its rules' targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, Final

import orjson

from simulation.aws import errors
from simulation.aws.account import Account
from simulation.aws.bucket import bucket
from simulation.aws.firehose import Stream
from simulation.aws.invocations import Invocations
from simulation.aws.observer import Observer

_MAX_ENTRIES: Final = 10
_MAX_BYTES: Final = 1_048_576
_TIME_BYTES: Final = 14
_MALFORMED: Final = "MalformedDetail"


@dataclass(frozen=True, slots=True)
class Rule:
    """Events of these sources and detail types go to a stream, by `InputPath: $.detail`."""

    sources: frozenset[str]
    detail_types: frozenset[str]
    stream: Stream


class Bus:
    """The bus `name`; an unknown one takes entries and drops them, as AWS does."""

    def __init__(self, name: str, account: Account) -> None:
        self.name = name
        self.rules: list[Rule] = []
        self.accepted = 0
        self.refused = 0
        self._account = account
        self._arn = account.arn("events", f"event-bus/{name}")
        self._quota = bucket(account.limits.put_events_per_s, account.clock)
        self._invocations = Invocations(account, self._arn)
        self._event_numbers = count(1)

    def put_events(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """PutEvents: an id or an error for each entry; raises ServiceError beyond the quota."""
        observer = self._account.observer
        if self._quota is not None and not self._quota.take():
            if observer is not None:
                observer.throttled("put_events_per_s", self._arn)
            raise errors.too_many_events()
        entries = payload["Entries"]
        if not 0 < len(entries) <= _MAX_ENTRIES:
            raise errors.validation("Member must have length less than or equal to 10")
        codes = self._codes(entries)
        self.refused += len(codes) - codes.count("")
        if self.rules or (observer is not None and observer.watches(Observer.published)):
            self._publish(entries, codes)
            return self._numbered(codes)
        return _answer(codes)

    def _codes(self, entries: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """What is wrong with each entry, if anything; counts those that this bus accepts."""
        fault = self._account.entry_fault
        most_bytes, accepted = 0, 0
        codes = []
        for entry in entries:
            detail = entry.get("Detail", "")
            # No text has more than four bytes a character; to count them exactly is seldom needed.
            characters = (
                len(detail) + len(entry.get("DetailType", "")) + len(entry.get("Source", ""))
            )
            if "Resources" in entry:
                characters += sum(map(len, entry["Resources"]))
            most_bytes += 4 * characters + _TIME_BYTES
            try:
                code = "" if isinstance(orjson.loads(detail), dict) else _MALFORMED
            except orjson.JSONDecodeError:
                code = _MALFORMED
            if fault is not None:
                code = fault("PutEvents") or code
            codes.append(code)
            accepted += not code and entry.get("EventBusName", "default") == self.name
        if most_bytes >= _MAX_BYTES <= sum(map(_size, entries)):
            raise errors.validation("Total size of the entries in the request is over the limit")
        self.accepted += accepted
        return tuple(codes)

    def _publish(self, entries: Sequence[Mapping[str, Any]], codes: Sequence[str]) -> None:
        """Show accepted entries to the observer, and hand them to the rules that match."""
        accepted = [
            entry
            for entry, code in zip(entries, codes, strict=True)
            if not code and entry.get("EventBusName", "default") == self.name
        ]
        if self._account.observer is not None:
            for entry in accepted:
                self._account.observer.published(entry)
        for rule in self.rules:
            details = [
                entry["Detail"].encode()
                for entry in accepted
                if entry["Source"] in rule.sources and entry["DetailType"] in rule.detail_types
            ]
            if details:
                self._invocations.add(rule.stream, details)

    def _numbered(self, codes: Sequence[str]) -> dict[str, Any]:
        results = [
            _refusal(code) if code else _acceptance(next(self._event_numbers)) for code in codes
        ]
        return {"FailedEntryCount": len(codes) - codes.count(""), "Entries": results}

    def describe_event_bus(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """DescribeEventBus."""
        name = payload.get("Name", "default")
        if name != self.name:
            raise errors.no_resource(f"Event bus {name} does not exist.")
        return {"Name": name, "Arn": self._arn}


def _acceptance(number: int) -> dict[str, str]:
    return {"EventId": f"{number:08x}-0000-4000-8000-000000000000"}


def _refusal(code: str) -> dict[str, str]:
    message = "Detail is malformed." if code == _MALFORMED else "a simulated fault"
    return {"ErrorCode": code, "ErrorMessage": message}


@lru_cache(maxsize=4096)
def _answer(codes: tuple[str, ...]) -> dict[str, Any]:
    """The same ids every time, where nobody distinguishes events by them."""
    results = [_refusal(code) if code else _acceptance(number) for number, code in enumerate(codes)]
    document = orjson.Fragment(orjson.dumps(results))
    return {"FailedEntryCount": len(codes) - codes.count(""), "Entries": document}


def _size(entry: Mapping[str, Any]) -> int:
    """Bytes as "Calculating PutEvents event entry size" counts them."""
    texts = [entry.get(name, "") for name in ("Source", "DetailType", "Detail")]
    size = sum(len(text.encode()) for text in (*texts, *entry.get("Resources", ())))
    return size + (_TIME_BYTES if "Time" in entry else 0)
