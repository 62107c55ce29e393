"""Odd lines on the embedded engine, read as Trino and the OpenX SerDe read them.

Most kinds were put before Trino 476 and SerDe 1.3.9, which agree with each other; what the rest
should give is read from Trino's source.
"""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from analytics.engine import QueryFailed
from analytics.local_engine import LocalEngine
from analytics.parameters import Parameters
from analytics.synthetic import MALFORMED
from schema.names import LAKE_TABLE
from tests.analytics.conftest import Make, line, ms

DAY: Final = Parameters.parse("2026-01-04", "2026-01-04")
EIGHT: Final = ms("2026-01-04T08:00:00")
GOOD: Final = line("r-1", EIGHT, EIGHT + 1, EIGHT + 2)
DOCS: Final = Path(__file__).parents[2] / "docs" / "lake.md"

Row = Mapping[str, Any]
NULLS: Final[Row] = dict.fromkeys(
    (
        "schemaVersion",
        "env",
        "eventId",
        "requestId",
        "eventType",
        "finalStatus",
        "resultCode",
        "timestamps",
        "delivery",
        "failure",
        "meta",
    )
)
EVENT: Final[Row] = {
    "schemaVersion": 1,
    "env": "test",
    "eventId": "event-1",
    "requestId": "r-1",
    "eventType": "FIRST_COME",
    "finalStatus": "SUCCEEDED",
    "resultCode": "SUCCESS",
    "timestamps": {"queuedAt": EIGHT, "startedAt": EIGHT + 1, "finishedAt": EIGHT + 2},
    "delivery": {"attempt": 1, "isDlq": False},
    "failure": {"failureClass": None, "errorCode": None, "errorMessage": None},
    "meta": {"workerId": "worker-1"},
}


def _with(old: bytes, new: bytes) -> bytes:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def _delivery(attempt: int | None, *, is_dlq: bool | None = False) -> Row:
    return {**EVENT, "delivery": {"attempt": attempt, "isDlq": is_dlq}}


LIKE_ATHENA: Final[Mapping[str, tuple[bytes, Row]]] = {
    "as the worker writes it": (GOOD, EVENT),
    "blanks between the tokens": (GOOD.replace(b":", b" : ").replace(b'","', b'" , "'), EVENT),
    "blanks around it": (b"  " + GOOD + b" \t", EVENT),
    "keys in another order": (b'{"env":"test",' + _with(b'"env":"test",', b"")[1:], EVENT),
    "an unknown key": (_with(b'"env"', b'"more":{"env":1},"env"'), EVENT),
    "blank": (b"", NULLS),
    "spaces": (b"   ", NULLS),
    "broken off": (b'{"schemaVersion":1,"env":"dev","eventId":"event-', NULLS),
    "no JSON": (b"{not json}", NULLS),
    "a string": (b'"a string"', NULLS),
    "a number": (b"7", NULLS),
    "binary": (b"\xff\xfe\x00 binary", NULLS),
    "an empty object": (b"{}", NULLS),
    "an empty array": (b"[]", NULLS),
    "an array": (b"[1,2,3]", {**NULLS, "schemaVersion": 1, "env": "2", "eventId": "3"}),
    "nested without end": (b"[" * 100_000, NULLS),
    "a brace too many": (GOOD + b"}", EVENT),
    "a comma behind it": (GOOD + b",", EVENT),
    "two objects": (GOOD + line("r-2", 1, 2, 3), EVENT),
    "a byte order mark before the file": (b"\xef\xbb\xbf" + GOOD, EVENT),
    "a lone surrogate": (_with(b'"test"', b'"\\ud83d"'), {**EVENT, "env": "?"}),
    "a control character": (_with(b'"test"', b'"te\tst"'), {**EVENT, "env": "te\tst"}),
    "escapes": (_with(b'"test"', b'"\\u0074\\/\\ud83d\\ude00"'), {**EVENT, "env": "t/😀"}),
    "a comma before the closing brace": (GOOD[:-1] + b",}", NULLS),
    "the same, alone": (b'{"schemaVersion":1,}', NULLS),
    "keys in another case": (
        _with(b'"eventId"', b'"EVENTID"').replace(b'"attempt"', b'"ATTEMPT"'),
        EVENT,
    ),
    "the same key twice": (_with(b'"eventId"', b'"eventId":"event-0","eventId"'), EVENT),
    "the same key twice, in two cases": (
        _with(b'"eventId":"event-1"', b'"eventId":"event-0","EVENTID":"event-1"'),
        EVENT,
    ),
    "a fraction in an int column": (_with(b'"attempt":1', b'"attempt":1.7'), _delivery(1)),
    "a negative fraction": (_with(b'"attempt":1', b'"attempt":-1.7'), _delivery(-1)),
    "an exponent": (_with(b'"attempt":1', b'"attempt":2e3'), _delivery(2000)),
    "an exponent beyond reason": (_with(b'"attempt":1', b'"attempt":1e999999'), _delivery(None)),
    "a number as text": (_with(b'"attempt":1', b'"attempt":"7"'), _delivery(7)),
    "a number as text with a blank": (_with(b'"attempt":1', b'"attempt":" 7"'), _delivery(None)),
    "a word as a number": (_with(b'"attempt":1', b'"attempt":"soon"'), _delivery(None)),
    "beyond an int": (_with(b'"attempt":1', b'"attempt":2147483648'), _delivery(None)),
    "the least int": (_with(b'"attempt":1', b'"attempt":-2147483648'), _delivery(-(2**31))),
    "true as a number": (_with(b'"attempt":1', b'"attempt":true'), _delivery(None)),
    "yes as a boolean": (_with(b'"isDlq":false', b'"isDlq":"yes"'), EVENT),
    "1 as a boolean": (_with(b'"isDlq":false', b'"isDlq":1'), EVENT),
    "true as text": (_with(b'"isDlq":false', b'"isDlq":"TRUE"'), _delivery(1, is_dlq=True)),
    "null as a boolean": (_with(b'"isDlq":false', b'"isDlq":null'), _delivery(1, is_dlq=None)),
    "a number as a text": (_with(b'"test"', b"1.50"), {**EVENT, "env": "1.50"}),
    "a boolean as a text": (_with(b'"test"', b"true"), {**EVENT, "env": "true"}),
    "an object as a text": (
        _with(b'"test"', b'{"A": [1, null, "x"]}'),
        {**EVENT, "env": '{"A":[1,null,"x"]}'},
    ),
    "a struct given as an array": (
        _with(b'{"attempt":1,"isDlq":false}', b"[1,false]"),
        EVENT,
    ),
    "a struct given as null": (
        _with(b'{"attempt":1,"isDlq":false}', b"null"),
        {**EVENT, "delivery": None},
    ),
    "a struct given as a blank text": (
        _with(b'{"attempt":1,"isDlq":false}', b'" "'),
        _delivery(None, is_dlq=None),
    ),
}
"""Each kind of line, and its row."""

UNLIKE_ATHENA: Final[Mapping[str, tuple[bytes, list[Row] | str, list[Row]]]] = {
    "single quotes": (GOOD.replace(b'"', b"'"), [EVENT], [NULLS]),
    "no quotes": (GOOD.replace(b'"', b""), [EVENT], [NULLS]),
    "octal": (_with(b'"attempt":1', b'"attempt":010'), [_delivery(8)], [NULLS]),
    "hexadecimal": (_with(b'"attempt":1', b'"attempt":0x1F'), [_delivery(31)], [NULLS]),
    "octal as text": (_with(b'"attempt":1', b'"attempt":"010"'), [_delivery(8)], [_delivery(10)]),
    "hexadecimal as text": (
        _with(b'"attempt":1', b'"attempt":"0x1F"'),
        [_delivery(31)],
        [_delivery(None)],
    ),
    "an unknown escape": (
        _with(b'"test"', b'"\\q"'),
        [{**EVENT, "env": "q"}],
        [NULLS],
    ),
    "comments": (_with(b'"env"', b'/* here */"env"'), [EVENT], [NULLS]),
    "other separators": (
        _with(b'"env":"test",', b'"env"=>"test";').replace(b'"attempt":', b'"attempt"='),
        [EVENT],
        [NULLS],
    ),
    "invalid UTF-8": (
        _with(b'"test"', b'"te\xffst"'),
        [{**EVENT, "env": "te\ufffdst"}],
        [{**EVENT, "env": "te?st"}],
    ),
    "CRLF after LF": (b"{}\n" + GOOD + b"\r", [NULLS, EVENT], [NULLS, EVENT, NULLS]),
    "a line of 2 MB": (
        _with(b'"test"', b'"%s"' % (b"x" * 2_000_000)),
        [{**EVENT, "env": "x" * 2_000_000}],
        [NULLS],
    ),
    "a struct given as a scalar": (
        _with(b'{"attempt":1,"isDlq":false}', b"7"),
        "fails",
        [_delivery(None, is_dlq=None)],
    ),
    "an object in an array": (b"[" + GOOD + b"]", "fails", [NULLS]),
    "a number given as an object": (
        _with(b'"attempt":1', b'"attempt":{}'),
        "fails",
        [_delivery(None)],
    ),
}
"""Each kind that docs/lake.md names as a difference: Athena's rows, or failure, and ours."""


async def _rows(engine: LocalEngine, *, columns: str = "* EXCLUDE (dt, hour)") -> list[Row]:
    await engine.run("totals", DAY)
    found = engine._connection.execute(f"SELECT {columns} FROM {LAKE_TABLE}")  # noqa: S608
    names = [column[0] for column in found.description or ()]
    rows = [dict(zip(names, values, strict=True)) for values in found.fetchall()]
    return sorted(rows, key=repr)


@pytest.mark.parametrize("kind", LIKE_ATHENA)
async def test_a_line_is_read_as_openx_reads_it(make_lake: Make, kind: str) -> None:
    written, expected = LIKE_ATHENA[kind]
    async with LocalEngine(make_lake({"2026-01-04/08": [written]})) as engine:
        assert await _rows(engine) == [expected]


@pytest.mark.parametrize("kind", UNLIKE_ATHENA)
async def test_what_is_read_otherwise_is_documented(make_lake: Make, kind: str) -> None:
    written, athena, ours = UNLIKE_ATHENA[kind]
    async with LocalEngine(make_lake({"2026-01-04/08": [written]})) as engine:
        assert await _rows(engine) == sorted(ours, key=repr)
    assert athena != ours


def test_the_documentation_names_each_difference_and_no_other() -> None:
    table = DOCS.read_text().split("| line |")[1].split("\n\n")[0]
    assert {row.split("|")[1].strip() for row in table.splitlines()[2:]} == set(UNLIKE_ATHENA)


@pytest.mark.parametrize("written", MALFORMED)
async def test_a_malformed_line_of_the_generator_is_malformed_to_athena(
    make_lake: Make, written: bytes
) -> None:
    assert (written, NULLS) in LIKE_ATHENA.values()
    async with LocalEngine(make_lake({"2026-01-04/08": [written]})) as engine:
        assert (await engine.run("malformed_lines", DAY)).rows == (("2026-01-04", "08", 1),)


async def test_odd_lines_lie_in_their_own_partitions(make_lake: Make) -> None:
    odd = [b"", b"\xff", GOOD + b"}", GOOD]
    lake = make_lake({"2026-01-04/08": odd, "2026-01-04/09": odd})
    packed = lake / "events/dt=2026-01-04/hour=09/b.gz"
    packed.write_bytes(gzip.compress(b"\n".join(odd)))
    async with LocalEngine(lake) as engine:
        found = await _rows(engine, columns="dt, hour, requestId")
    ids = [None, None, "r-1", "r-1"]
    assert found == sorted(
        (
            {"dt": "2026-01-04", "hour": hour, "requestId": request_id}
            for hour in ("08", "09", "09")
            for request_id in ids
        ),
        key=repr,
    )


async def test_an_odd_line_counts_once_after_a_failed_reading(make_lake: Make) -> None:
    lake = make_lake({"2026-01-04/08": [b"", b"\xff", GOOD]})
    broken = lake / "events/dt=2026-01-04/hour=08/z.gz"
    broken.write_bytes(gzip.compress(GOOD * 1000)[:-20])
    async with LocalEngine(lake) as engine:
        with pytest.raises(QueryFailed):
            await engine.run("totals", DAY)
        broken.unlink()
        assert len(await _rows(engine)) == 3
