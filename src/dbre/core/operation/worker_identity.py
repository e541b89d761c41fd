"""Who does the work: one process that runs operations."""

import os
import secrets
import socket
from dataclasses import dataclass

from dbre import __version__
from dbre.core.text import printable

__all__ = ["WorkerIdentity", "this_worker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerIdentity:
    """One worker, as leases, journals and the audit log name it. ``id`` is never used twice, not even by the same process."""

    id: str
    host: str
    pid: int
    zone: str | None
    version: str


def this_worker(*, zone: str | None = None) -> WorkerIdentity:
    """This process, under a new id: ``db-7:4242:9f3a1c5e``."""
    host, pid = printable(socket.gethostname(), limit=60), os.getpid()
    return WorkerIdentity(id=f"{host}:{pid}:{secrets.token_hex(4)}", host=host, pid=pid, zone=zone, version=__version__)
