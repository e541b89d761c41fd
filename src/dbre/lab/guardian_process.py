"""The program of the guardian: ``python -m dbre.lab.guardian_process PARENT``, orders on standard input."""

import json
import os
import select
import signal
import sys
from pathlib import Path

from dbre.lab.destruction import destroy

__all__: list[str] = []

_POLL_SECONDS = 0.5


def _main(parent: int) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a service manager signals us together with our parent: we go last
    watched: dict[str, None] = {}
    buffer = b""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], _POLL_SECONDS)
        if not readable:
            continue  # a child that our parent forked may keep the pipe open: hence the look at getppid
        chunk = os.read(0, 65_536)
        if not chunk:
            break
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "watch" in order:
                watched[order["watch"]] = None
            else:
                watched.pop(order["release"], None)
    # Twice: a server that was being started while our parent died is not there yet at the first look.
    gone = [destroy(Path(name)) for name in (*watched, *watched)]
    return 0 if all(gone[len(watched) :]) else 1


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1])))
