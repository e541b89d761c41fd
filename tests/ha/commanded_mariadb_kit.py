"""MariaDB servers that an operator's own commands start and stop, and that read a file of settings when they start."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace

from switchover_kit import controlled

from dbre.core.control import Control, ControlKind
from dbre.core.fleet import Fleet
from dbre.lab.mariadb import REPLICATION_USER, MariaDbServer

_STOP = """
import os, pathlib, signal, sys, time
path = pathlib.Path(sys.argv[1])
while path.exists() and pathlib.Path("/proc", pid := path.read_text().strip()).exists():
    os.kill(int(pid), signal.SIGTERM)
    time.sleep(0.2)
"""


def control_of(server: MariaDbServer) -> Control:
    """Its own command line, in the background; SIGTERM until it is gone."""
    words = shlex.join(str(word) for word in server._command(server.address.port))
    whose = f"runuser -u {server.site.account.name} --" if server.site.account.switch else ""
    start = f"cd {server.work_directory} && setsid -f {whose} {words} </dev/null >>{server.log_file} 2>&1"
    return Control(
        kind=ControlKind.COMMANDS,
        start=("/bin/sh", "-c", start),
        stop=(sys.executable, "-c", _STOP, str(server.data_directory / "mariadb.pid")),
        data_directory=server.data_directory,
        settings_file=server.settings_file,
    )


def mariadb_fleet(servers: Mapping[str, MariaDbServer], *, database: str | None = None) -> Fleet:
    """A fleet of these servers, with the login of followers."""
    password = next(iter(servers.values())).password
    login = {"replication_user": REPLICATION_USER, "replication_password": password}
    (cluster,) = controlled("mysql", servers, database=database, **login).clusters
    instances = tuple(replace(one, control=control_of(servers[one.name])) for one in cluster.instances)
    return Fleet(clusters=(replace(cluster, instances=instances),))
