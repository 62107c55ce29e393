"""Which days to ask about when none are given."""

from datetime import date, datetime

from analytics.engine import Engine
from analytics.parameters import Parameters


async def whole_lake(engine: Engine) -> tuple[date, date] | None:
    """The days of everything in a lake: of the arrivals, and of the events' own times.

    A line queued just before midnight arrives on the next day; the range then begins a day before
    the first arrival, or the figures by event time would leave the line out. None for an empty
    lake. On Athena this reads every line.
    """
    arrivals = await engine.days()
    if arrivals is None:
        return None
    first, last = arrivals
    totals = await engine.run("totals", Parameters(dt_from=first, dt_to=last))
    times = [totals.one("first_queued_at"), totals.one("last_finished_at")]
    days = [time.date() for time in times if isinstance(time, datetime)]
    return min([first, *days]), max([last, *days])
