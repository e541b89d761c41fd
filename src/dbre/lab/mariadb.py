"""A throw-away MariaDB server: a primary, or a replica that follows one by GTID."""

import asyncio
import hashlib
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from dbre.core.programs.account import Account
from dbre.core.programs.cache import build_once
from dbre.core.secrets import Secret
from dbre.lab.grants import (
    observer_backup_grants,
    observer_client_grants,
    observer_grants,
    observer_mischief_grants,
    observer_succession_grants,
)
from dbre.lab.programs import ServerProgram, find_program
from dbre.lab.server import LabServer
from dbre.lab.site import Site, run_program
from dbre.ports.session import Role

__all__ = ["REPLICATION_USER", "MariaDbServer", "find_mariadb"]

DATABASE = "lab"
_EXTRAS = (observer_backup_grants, observer_client_grants, observer_succession_grants, observer_mischief_grants)
REPLICATION_USER = "replicator"
_ACCOUNTS_FILE = "accounts.sql"
_SETTINGS_FILE = "settings.cnf"
_GREETING = 0x0A  # first byte of the server's handshake, protocol version 10
_INNODB = ("--innodb-log-file-size=16M", "--innodb-data-file-path=ibdata1:10M:autoextend")
_REMARK = re.compile(r"/\*(?!M!).*?\*/", re.DOTALL)  # what is in /*! */ is for MySQL


def find_mariadb(*, account: Account, bindir: Path | None = None) -> ServerProgram:
    """The installed MariaDB server. Raises: BinariesMissing naming the package."""
    return find_program(("mariadbd",), account=account, oldest=(10, 6, 0), package="mariadb-server", bindir=bindir)


class MariaDbServer(LabServer):
    """One MariaDB server with binary log; with ``replica_of``, a read-only replica by GTID."""

    engine = "mysql"
    superuser = "root"
    default_database = DATABASE
    application_database = DATABASE
    observer_database = None  # it has no privilege in any database but its own
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        program: ServerProgram,
        port: int | None = None,
        replica_of: Self | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, site, version_text=program.version_text, port=port, replica_of=replica_of, settings=settings)
        self.program = program

    async def role(self) -> Role:
        """As it was built: only the server itself could tell of a later change."""
        return Role.PRIMARY if self.primary is None else Role.REPLICA

    @property
    def settings_file(self) -> Path:
        """Settings that are changed after it was built: it reads them when it starts. Its command line comes before them."""
        return self.directory / _SETTINGS_FILE

    @property
    def _scratch(self) -> Path:
        return self.directory / "tmp"

    async def _build_data(self) -> None:
        source = await _template(self.program, self.site)
        await run_program(
            ["cp", "-a", "--reflink=auto", source, self.data_directory], account=self.site.account, directory=self.directory
        )
        self.site.write_file(self.directory / _ACCOUNTS_FILE, self._accounts())

    def _accounts(self) -> str:
        """Statements for the first start, one a line. Not replicated: a replica runs them, too, before it follows."""
        verifier, clients = _native_hash(self.password), self.site.host.account_pattern
        lines = ["SET sql_log_bin = 0;", f"CREATE DATABASE IF NOT EXISTS {DATABASE};"]
        for user, grant in ((self.superuser, "ALL"), (REPLICATION_USER, "REPLICATION SLAVE")):
            lines.append(f"CREATE OR REPLACE USER {user}@'{clients}' IDENTIFIED BY PASSWORD '{verifier}';")
            option = " WITH GRANT OPTION" if grant == "ALL" else ""
            lines.append(f"GRANT {grant} ON *.* TO {user}@'{clients}'{option};")
        lines.append("DROP USER IF EXISTS root@localhost;")
        for login in self.logins:
            account = f"{login.user}@'{clients}'"
            lines.append(f"CREATE USER {account} IDENTIFIED BY PASSWORD '{_native_hash(login.password)}';")
            if login.is_observer:
                lines += _single_lines(observer_grants(self.engine, f"{login.user}@{clients}"))
                for extras in _EXTRAS:
                    lines += [f"{statement};" for statement in extras(self.engine, f"{login.user}@{clients}")]
                lines.append(f"GRANT SUPER ON *.* TO {account};")  # `dbre settings apply` can be tried, as the script says
            else:
                lines.append(f"GRANT ALL ON {DATABASE}.* TO {account};")
        if self.primary is not None:
            address = self.primary.address
            lines.append(
                f"CHANGE MASTER TO MASTER_HOST='{address.host}', MASTER_PORT={address.port}, "
                f"MASTER_USER='{REPLICATION_USER}', MASTER_PASSWORD='{self.password.reveal()}', "
                "MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1;"
            )
            lines.append("START SLAVE;")
        return "\n".join(lines) + "\n"

    async def _start_on(self, port: int) -> None:
        if not self._scratch.exists():  # also where the data directory came from elsewhere
            self.site.make_directory(self._scratch)
        if not self.settings_file.exists():
            self.site.write_file(self.settings_file, "[mysqld]\n")
        await super()._start_on(port)

    def _command(self, port: int) -> list[str | Path]:
        durable = self.site.durable
        settings = {
            "bind-address": self.site.host.address,
            "port": str(port),
            "socket": "mariadb.sock",  # relative to the data directory: its whole path may be too long for a socket
            "pid-file": "mariadb.pid",
            "tmpdir": str(self._scratch),  # its own: each server begins by deleting what it takes for its old temporary tables
            "server-id": str(port),
            "log-bin": "binlog",
            "relay-log": "relay",
            "log-slave-updates": "ON",
            "gtid-strict-mode": "ON",
            "innodb-buffer-pool-size": "32M",
            # 2: written to the operating system at each commit, so that SIGKILL loses nothing
            "innodb-flush-log-at-trx-commit": "1" if durable else "2",
            "sync-binlog": "1" if durable else "0",
            "skip-name-resolve": "ON",
            **({"read-only": "ON"} if self.primary is not None else {}),
            "default-time-zone": "+00:00",
            **self.settings,
        }
        accounts = self.directory / _ACCOUNTS_FILE
        if accounts.exists():
            settings["init-file"] = str(accounts)
        return [
            self.program.path,
            f"--defaults-file={self.settings_file}",
            f"--datadir={self.data_directory}",
            *_INNODB,
            *(f"--{name}={value}" for name, value in settings.items()),
        ]

    async def _is_ready(self) -> bool:
        """Whether it greets: it does only after the statements of the first start."""
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
                try:
                    packet = await reader.readexactly(5)
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False
        return packet[4] == _GREETING

    def _says_port_taken(self, log: str) -> bool:
        return "Bind on TCP/IP port" in log and "Address already in use" in log

    async def _after_first_start(self) -> None:
        # Emptied, not taken away: whoever starts it again with the same words has to find the file.
        self.site.write_file(self.directory / _ACCOUNTS_FILE, "")


def _native_hash(password: Secret) -> str:
    """What ``PASSWORD()`` gives. Source: MariaDB knowledge base, "mysql_native_password"."""
    inner = hashlib.sha1(password.reveal().encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(inner, usedforsecurity=False).hexdigest().upper()


def _single_lines(script: str) -> list[str]:
    """Statements as an init file wants them: one a line, none that MariaDB takes for a comment; it would stop at that line."""
    statements = (" ".join(_REMARK.sub("", part).split()) for part in script.split(";\n"))
    return [statement + ";" for statement in statements if statement]


async def _template(program: ServerProgram, site: Site) -> Path:
    """A data directory as ``mariadb-install-db`` makes it; made at the first call."""
    status = await asyncio.to_thread(program.path.stat)
    facts = ("1", program.path, status.st_size, status.st_mtime_ns, site.account.uid)
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]

    async def build(target: Path) -> None:
        work = site.make_directory(target / "work")
        await run_program(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={work / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                *_INNODB,
            ],
            account=site.account,
            directory=work,
        )

    return (await build_once(site.cache / "templates" / f"mariadb-{program.version_text}-{key}", build)) / "work" / "data"
