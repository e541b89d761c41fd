"""A MariaDB server is started on an assembled directory, for us alone: no network, no replication, no events, no binary log."""

import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from dbre.core.errors import Unreachable
from dbre.core.fleet import Address, TlsMode
from dbre.core.programs.confined import Confinement
from dbre.core.programs.scratch import scratch_directory
from dbre.core.secrets import Secret
from dbre.engines.mysql.backup.copying import KEPT_SETTINGS
from dbre.engines.mysql.backup.programs import SERVER, require_tool
from dbre.engines.mysql.backup.source import ask
from dbre.engines.mysql.facts import DEFAULT_PORT
from dbre.ports.backup.child_server import ChildServer, Launch, child_server, write_private
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access, Timeouts

__all__ = ["booted"]

_USER = "dbre_recovery"  # named in sql/backup.sql too
_SOCKET = "mysqld.sock"
_LONG = Timeouts(connect_seconds=10.0, statement_seconds=86_400.0, lock_seconds=60.0)
_FROM_COPY = re.compile(
    r"(innodb_(?:data_file_path|page_size|undo_tablespaces|undo_directory|compression_level))=([\w./:;+-]+)"
)
_OURS = {
    "skip-networking": "ON",
    "skip-slave-start": "ON",
    "event-scheduler": "OFF",
    "skip-log-bin": None,
    "skip-name-resolve": "ON",
    "pid-file": "dbre-recovery.pid",
    "local-infile": "OFF",
    "innodb-buffer-pool-load-at-startup": "OFF",
    "innodb-buffer-pool-dump-at-shutdown": "OFF",
    "max-allowed-packet": "1G",
}


@asynccontextmanager
async def booted(
    order: RecoverOrder, *, place: Place, confinement: Confinement, version: str | None, settings: Mapping[str, str]
) -> AsyncIterator[ChildServer]:
    """Start it and wait until it answers; it is killed at the end.

    Raises: RecoveryFailed with the end of its log; BinariesMissing.
    """
    program = await require_tool(SERVER, place, version=version)
    with scratch_directory(place.account) as directory:
        password = Secret(secrets.token_urlsafe(24))
        first = directory / "first.sql"
        write_private(first, _login_statements(password), place.account)
        access = Access(
            address=Address(str(directory), DEFAULT_PORT),
            user=_USER,
            password=password,
            database=None,
            tls=TlsMode.DISABLE,
            timeouts=_LONG,
            application_name="dbre:recovery",
        )
        words: list[str | Path] = [
            program,
            "--no-defaults",
            f"--datadir={order.directory}",
            f"--socket={directory / _SOCKET}",
        ]
        words += [f"--init-file={first}", f"--secure-file-priv={directory}", *_words(order, settings)]
        launch = Launch(
            words=words,
            program=SERVER,
            directory=order.directory,
            access=access,
            ask=partial(ask, access, "backup_clock"),
            not_yet=(Unreachable,),
            timeout_seconds=order.timeout_seconds,
        )
        async with child_server(launch, confinement) as server:
            first.unlink()
            yield server


def _words(order: RecoverOrder, settings: Mapping[str, str]) -> list[str]:
    chosen: dict[str, str | None] = dict(_OURS)
    chosen |= {name.replace("_", "-"): value for name, value in _FROM_COPY.findall(_own_options(order.directory))}
    chosen |= {name.replace("_", "-"): settings[name] for name in KEPT_SETTINGS if name in settings}
    chosen["innodb-flush-log-at-trx-commit"] = "1" if order.is_faithful else "0"
    chosen |= dict(order.extra_settings)
    return [f"--{name}" if value is None else f"--{name}={value}" for name, value in chosen.items()]


def _own_options(directory: Path) -> str:
    """What mariadb-backup noted of the server's layout."""
    try:
        return (directory / "backup-my.cnf").read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _login_statements(password: Secret) -> str:
    """One statement a line; the hash is what PASSWORD() gives. Source: MariaDB, "mysql_native_password"."""
    inner = hashlib.sha1(password.reveal().encode(), usedforsecurity=False).digest()
    verifier = "*" + hashlib.sha1(inner, usedforsecurity=False).hexdigest().upper()
    lines = (
        f"CREATE OR REPLACE USER {_USER}@localhost IDENTIFIED BY PASSWORD '{verifier}';",
        f"GRANT ALL PRIVILEGES ON *.* TO {_USER}@localhost WITH GRANT OPTION;",
    )
    return "\n".join(lines) + "\n"
