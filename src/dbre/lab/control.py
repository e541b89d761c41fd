"""How the servers of a lab are started and stopped by others: what ``control:`` of an instance says in its ``dbre.yaml``."""

import json
import sys

from dbre.lab.mariadb import REPLICATION_USER, MariaDbServer
from dbre.lab.postgres import PostgresServer
from dbre.lab.server import LabServer

__all__ = ["control_of", "replication_login"]


def control_of(server: LabServer, *, lab: str) -> str:
    """One line: PostgreSQL by pg_ctl, unless its sockets are elsewhere in the network; the others by ``dbre lab``."""
    if isinstance(server, PostgresServer) and server.site.host.namespace is None:
        control: dict[str, object] = {
            "kind": "pg_ctl",
            "data_directory": str(server.data_directory),
            "bindir": str(server.binaries.directory),
        }
        return json.dumps(control)
    rest = ["--name", lab, "--directory", str(server.site.directory)]
    commands = {verb: [sys.executable, "-P", "-m", "dbre", "lab", verb, server.name, *rest] for verb in ("start", "stop")}
    files = {"settings_file": str(server.settings_file)} if isinstance(server, MariaDbServer) else {}
    return json.dumps({"kind": "commands", **commands, "data_directory": str(server.data_directory), **files})


def replication_login(primary: LabServer) -> list[str]:
    """The lines with the login of followers where no server tells it: MariaDB shows nobody the password."""
    if not isinstance(primary, MariaDbServer):
        return []
    return [
        f"      replication_user: {REPLICATION_USER}",
        f"      replication_password: file:{primary.name}/password",
    ]
