"""The one act of a watchdog: every process of the server is killed, at once."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from dbre.core.errors import DbreError, Denied, UsageError
from dbre.core.programs.processes import kill_serving, serving

__all__ = ["SERVERS", "KillFailed", "kill", "say", "see_directory"]

SERVERS = frozenset({"postgres", "mariadbd", "mysqld", "redis-server", "redis-check-rdb", "valkey-server"})
"""The names of server programs; a process counts by its program, its directory, and from whom it descends."""

_SECONDS = 10.0


class KillFailed(DbreError):
    """Processes of the server survive SIGKILL, as if they hung in the kernel."""

    code = "ha.watchdog_kill_failed"


def see_directory(directory: Path) -> Path:
    """Raises: UsageError, Denied where it would see no process of the server: a watchdog of nothing is worse than none."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory on this machine", hint="name the data directory of the server")
    owner = directory.stat().st_uid
    if os.geteuid() not in (0, owner):
        raise Denied(
            f"{directory} belongs to user {owner}, whose processes we may not kill", hint="run it as that user, or as root"
        )
    return directory.resolve()


def kill(directory: Path) -> int:
    """SIGKILL to every process of the server, until none is left; how many there were. Raises: KillFailed."""
    found = serving(directory, _is_server)
    left = kill_serving(directory, _is_server, timeout_seconds=_SECONDS)
    if left:
        raise KillFailed(f"{len(left)} processes in {directory} survive SIGKILL: {', '.join(str(one.pid) for one in left[:5])}")
    return len(found)


def _is_server(_: int, executable: str) -> bool:
    return executable in SERVERS


def say(event: str, **facts: object) -> None:
    """One line of JSON on standard error, as soon as it happens."""
    line = {"timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()
