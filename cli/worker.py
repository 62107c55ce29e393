"""`participation worker`: run the daemon."""

import sys

from cli.running import connection_of, run_async
from config import logs
from config.settings import WorkerSettings, load


def worker() -> None:
    """Decide the queue's requests until SIGTERM or Ctrl-C, then drain.

    Settings come from the environment (`participation config worker` lists them). Exit codes:
    0 drained, 1 the drain hit SHUTDOWN_TIMEOUT_S, 2 it cannot run, 70 it crashed, 130 a second
    signal.
    """
    from worker import daemon

    settings = load(WorkerSettings)
    logs.write_in_background()
    logs.configure(settings.log_level, settings.log_format)
    sys.exit(int(run_async(daemon.run, settings, connection_of(settings))))
