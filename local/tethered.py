"""Runs one `participation` command that stops when the process that started it is gone.

Standard input is a pipe from that process: it closes however the process ends, and the command
then gets the SIGTERM that an orderly stop would send.
"""

import os
import signal
import threading

from cli.main import main


def stop_with_parent() -> None:
    """Wait until standard input closes, then ask this process to stop."""
    # Not sys.stdin: its lock, held by a waiting thread, breaks the interpreter's shutdown.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=stop_with_parent, daemon=True).start()
    main()
