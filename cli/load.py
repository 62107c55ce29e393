"""`participation load`: clicks at a given rate, and what became of them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from cli.output import AsJson, fail, write_json
from cli.running import run_stoppable
from config.settings import TokenSettings
from config.settings import load as load_settings
from operations.load.people import Arrivals
from runtime.stop import ExitCode

if TYPE_CHECKING:
    from operations.load.people import Person
    from operations.load.tally import Outcome, Result
    from runtime.stop import Stop

_MAX_CLICKS = 10_000_000
"""Two figures of eight bytes are kept of each."""
_MORE_S = 3_600.0
"""How long tokens are valid beyond the load."""
BROWSERS_TRIES = 5
_BUFFER_BYTES = 1 << 20

Rate = Annotated[
    float, typer.Option(min=0.1, max=100_000, metavar="CLICKS/S", help="clicks a second")
]
Seconds = Annotated[
    float, typer.Option(min=0.1, max=86_400, metavar="S", help="how long clicks are made, in s")
]
Users = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="users, who click again where there are fewer; default: one for each click",
    ),
]
ArrivalsOption = Annotated[Arrivals, typer.Option("--arrivals", help="how clicks are spread")]
Seed = Annotated[int, typer.Option(metavar="N", help="of poisson arrivals")]
Tokens = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="users' tokens, one a line; default: made with JWT_SECRET",
    ),
]
Connections = Annotated[
    int, typer.Option(min=1, max=60_000, metavar="N", help="most connections at the same time")
]
Timeout = Annotated[
    float, typer.Option(min=0.1, max=300, metavar="S", help="longest wait for an answer, in s")
]
P99 = Annotated[
    float | None,
    typer.Option(
        "--p99", min=0, metavar="MS", help="exit code 1 if the latency's p99 is greater, in ms"
    ),
]
MaxErrors = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, metavar="SHARE", help="exit code 1 if more of the clicks are not accepted"
    ),
]


def load(
    url: Annotated[
        str,
        typer.Option(
            envvar="INGEST_URL", metavar="URL", help="ingest's address, http:// or https://"
        ),
    ],
    event: Annotated[str, typer.Option(metavar="EVENT", help="the event to take part in")],
    rate: Rate,
    seconds: Seconds,
    users: Users = None,
    arrivals: ArrivalsOption = Arrivals.CONSTANT,
    seed: Seed = 1,
    prefix: Annotated[
        str, typer.Option(metavar="TEXT", help="how the users' names begin: PREFIX-0000000, …")
    ] = "load",
    tokens: Tokens = None,
    connections: Connections = 1_000,
    timeout: Timeout = 10.0,
    retry: Annotated[
        bool,
        typer.Option("--retry", help="click again after 503 or no answer, as browsers do: 5 tries"),
    ] = False,
    p99: P99 = None,
    max_errors: MaxErrors = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="a line of JSON for each click's outcome (NDJSON)"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make clicks at a rate that does not wait for answers, and report what became of them.

    Latency counts from the moment a click was scheduled for: neither a slow service nor a slow
    generator can hide. Ctrl-C ends the sending and shows the result so far. Exit codes: 0, 1
    (--p99 or --max-errors missed, nothing accepted, or no way to the service), 2, 130.
    """
    from cli.load_output import Line, document, page, write_page
    from operations.load import generator, people, verdict
    from operations.load.target import LoadError, Target

    manner = generator.Manner(
        connections=connections, timeout_s=timeout, tries=BROWSERS_TRIES if retry else 1
    )
    limits = verdict.Thresholds(p99_ms=p99, errors_share=max_errors)
    line = Line()
    try:
        target = Target(url, event)
        crowd = people.clicks(
            people.moments(arrivals, rate, seconds, seed),
            persons(rate, seconds, users, prefix, tokens),
        )
    except LoadError as error:
        fail(str(error), 2)
    with outcomes_to(out) as settled:

        async def run(stop: "Stop") -> "Result":
            return await generator.run(
                target, crowd, manner, stop=stop, settled=settled, course=line.show
            )

        try:
            result = run_stoppable(run)
        except LoadError as error:
            fail(str(error))
        except KeyboardInterrupt:
            fail("interrupted a second time: there is no result", ExitCode.INTERRUPTED)
        finally:
            line.end()
    missed, remarks = verdict.missed(result, limits), verdict.remarks(result.sending)
    if as_json:
        write_json(
            {
                "url": url,
                "eventId": event,
                "rate": rate,
                "arrivals": arrivals.value,
                **document(result),
                "remarks": remarks,
                "missed": missed,
            }
        )
    else:
        write_page(page(result))
        sys.stdout.writelines(f"{text}.\n" for text in remarks)
    for text in missed:
        sys.stderr.write(f"participation: {text}\n")
    if result.is_interrupted:
        fail("interrupted: the figures are those of the clicks so far", ExitCode.INTERRUPTED)
    sys.exit(1 if missed else 0)


def persons(
    rate: float, seconds: float, users: int | None, prefix: str, tokens: Path | None
) -> "Iterator[Person]":
    """Who clicks; raises LoadError and SettingsError."""
    from operations.load import people

    clicks = round(rate * seconds)
    if not 0 < clicks <= _MAX_CLICKS:
        raise typer.BadParameter(f"--rate times --seconds must be 1 to {_MAX_CLICKS:,} clicks")
    if tokens is not None:
        return cycle(people.read(tokens, users, seconds))
    sign = people.signer(load_settings(TokenSettings), seconds + _MORE_S)
    return people.named(prefix, users, sign)


@contextmanager
def outcomes_to(path: Path | None) -> "Iterator[Callable[[Outcome], None]]":
    """Writes each outcome to a file, if there is one."""
    if path is None:
        yield lambda _outcome: None
        return
    try:
        file = path.open("wb", buffering=_BUFFER_BYTES)
    except OSError as error:
        raise typer.BadParameter(
            f"{path} cannot be written: {error.strerror}", param_hint="--out"
        ) from None
    with file:

        def write(outcome: "Outcome") -> None:
            line = {
                "user": outcome.user_id,
                "requestId": outcome.request_id,
                "status": outcome.status,
                "problem": outcome.problem,
                "isDuplicate": outcome.is_duplicate,
                "ms": round(outcome.latency_ms, 3),
            }
            file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

        yield write
