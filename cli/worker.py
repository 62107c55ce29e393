"""`participation worker`: run the daemon."""

import sys

from cli.running import connection_of, log_as_program, run_async
from config.settings import WorkerSettings, load


def worker() -> None:
    """Decide the queue's requests until SIGTERM or Ctrl-C, then drain.

    Settings come from the environment (`participation config worker` lists them). Exit codes:
    0 drained, 1 the drain hit SHUTDOWN_TIMEOUT_S, 2 it cannot run, 70 it crashed, 130 a second
    signal.
    """
    from worker import daemon

    settings = load(WorkerSettings)
    log_as_program(settings)
    sys.exit(int(run_async(daemon.run, settings, connection_of(settings))))
