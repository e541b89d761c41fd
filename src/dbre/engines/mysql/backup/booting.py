"""A MariaDB server is started on an assembled directory, for us alone: no network, no replication, no events, no binary log."""

import asyncio
import hashlib
import os
import re
import secrets
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dbre.core.errors import DbreError, Unreachable
from dbre.core.fleet import Address, TlsMode
from dbre.core.programs.account import Account, give
from dbre.core.programs.confined import Confinement
from dbre.core.programs.run import Child, spawn
from dbre.core.programs.scratch import scratch_directory
from dbre.core.secrets import Secret
from dbre.core.text import printable
from dbre.engines.mysql.backup.copying import KEPT_SETTINGS
from dbre.engines.mysql.backup.programs import SERVER, require_tool
from dbre.engines.mysql.backup.source import ask
from dbre.engines.mysql.facts import DEFAULT_PORT
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.errors import RecoveryFailed
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access, Timeouts

__all__ = ["Booted", "booted", "tail_of"]

_USER = "dbre_recovery"  # named in sql/backup.sql too
_SOCKET = "mysqld.sock"
_POLL_SECONDS = 0.1
_STOP_SECONDS = 600.0
_LOG_LINES = 200
_TAIL_LINES = 12
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """A server that runs on a copy."""

    access: Access
    child: Child
    log: deque[str]

    async def stop(self) -> None:
        """End it in order. Raises: RecoveryFailed where it does not end, or ends with an error."""
        self.child.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                status = await self.child.wait()
        except TimeoutError as error:
            raise RecoveryFailed(
                f"the recovered server did not stop within {_STOP_SECONDS:.0f} s{tail_of(self.log)}"
            ) from error
        if status != 0:
            raise RecoveryFailed(f"the recovered server stopped with {status}{tail_of(self.log)}")


@asynccontextmanager
async def booted(
    order: RecoverOrder, *, place: Place, confinement: Confinement, version: str | None, settings: Mapping[str, str]
) -> AsyncIterator[Booted]:
    """Start it and wait until it answers; it is killed at the end.

    Raises: RecoveryFailed with the end of its log; BinariesMissing.
    """
    program = await require_tool(SERVER, place, version=version)
    log: deque[str] = deque(maxlen=_LOG_LINES)
    with scratch_directory(place.account) as directory:
        password = Secret(secrets.token_urlsafe(24))
        first = directory / "first.sql"
        _write(first, _login_statements(password), place.account)
        access = Access(
            address=Address(str(directory), DEFAULT_PORT),
            user=_USER,
            password=password,
            database=None,
            tls=TlsMode.DISABLE,
            timeouts=_LONG,
            application_name="dbre:recovery",
        )
        words = [
            *confinement.prefix,
            program,
            "--no-defaults",
            f"--datadir={order.directory}",
            f"--socket={directory / _SOCKET}",
        ]
        words += [f"--init-file={first}", f"--secure-file-priv={directory}", *_words(order, settings)]
        async with spawn(
            words, account=confinement.account, directory=order.directory, on_line=log.append, program=SERVER
        ) as child:
            await _wait_until_ready(access, child, log, order.timeout_seconds)
            first.unlink()
            yield Booted(access=access, child=child, log=log)


def tail_of(log: Sequence[str]) -> str:
    """The end of a server's log, below a message."""
    return "".join(f"\n{printable(line, limit=400)}" for line in list(log)[-_TAIL_LINES:])


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


def _write(path: Path, text: str, account: Account) -> None:
    with open(path, "x", encoding="ascii", opener=_private) as file:
        file.write(text)
    give(path, account)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


async def _wait_until_ready(access: Access, child: Child, log: Sequence[str], limit_seconds: float) -> None:
    deadline = time.monotonic() + limit_seconds
    while True:
        if child.status is not None:
            status = await child.wait()
            raise RecoveryFailed(
                f"the server that was started from the copy ended with {status}{tail_of(log)}",
                hint="see its last lines; verify the set, and try another one",
            )
        try:
            await ask(access, "backup_clock")
        except Unreachable as error:
            _require_time(deadline, error, log)
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return


def _require_time(deadline: float, error: DbreError, log: Sequence[str]) -> None:
    if time.monotonic() > deadline:
        raise RecoveryFailed(
            f"the server that was started from the copy does not answer: {error.message}{tail_of(log)}"
        ) from error
