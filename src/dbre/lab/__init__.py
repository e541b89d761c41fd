"""Real throw-away databases on loopback for demo, drills and tests: gone after ``down``, after a crash, with their parent.

Names are imported when they are first used: the guardian, a process of its own beside every lab, needs almost none.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbre.lab.guardian import Guardian
    from dbre.lab.lab import Lab, lab_directory, list_labs, take_down
    from dbre.lab.load import LoadClient, LoadPlan, LoadReport, LoadTarget
    from dbre.lab.mariadb import MariaDbServer
    from dbre.lab.model import LabEngine, LabSpec, ServerState, ServerStatus
    from dbre.lab.postgres import PostgresServer
    from dbre.lab.redis import RedisServer
    from dbre.lab.server import LabServer

__all__ = [
    "Guardian",
    "Lab",
    "LabEngine",
    "LabServer",
    "LabSpec",
    "LoadClient",
    "LoadPlan",
    "LoadReport",
    "LoadTarget",
    "MariaDbServer",
    "PostgresServer",
    "RedisServer",
    "ServerState",
    "ServerStatus",
    "lab_directory",
    "list_labs",
    "take_down",
]

_HOMES = {
    "Guardian": "guardian",
    "Lab": "lab",
    "LabEngine": "model",
    "LabServer": "server",
    "LabSpec": "model",
    "LoadClient": "load",
    "LoadPlan": "load",
    "LoadReport": "load",
    "LoadTarget": "load",
    "MariaDbServer": "mariadb",
    "PostgresServer": "postgres",
    "RedisServer": "redis",
    "ServerState": "model",
    "ServerStatus": "model",
    "lab_directory": "lab",
    "list_labs": "lab",
    "take_down": "lab",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"dbre.lab.{home}"), name)
