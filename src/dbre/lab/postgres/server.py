"""A throw-away PostgreSQL server: a primary, or a streaming replica of one."""

import asyncio
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

from dbre.core.secrets import Secret
from dbre.engines.postgres.binaries import PostgresBinaries
from dbre.engines.postgres.grants import (
    backup_grants,
    change_grants,
    client_grants,
    grant_script,
    mischief_grants,
    rejoin_grants,
    succession_grants,
)
from dbre.lab.errors import LabError
from dbre.lab.postgres.template import TEMPLATE_SUPERUSER, copy_template, template
from dbre.lab.processes import Process
from dbre.lab.server import LabServer
from dbre.lab.site import Site, run_program
from dbre.ports.session import Role

__all__ = ["AUTHENTICATION", "FAST", "REPLICATION_USER", "SETTINGS", "PostgresServer"]

REPLICATION_USER = "replicator"
_CHANGEABLE = ("autovacuum_naptime", "effective_cache_size", "log_min_duration_statement", "maintenance_work_mem",
               "max_connections", "random_page_cost", "statement_timeout", "work_mem")  # fmt: skip
"""What `dbre settings apply` may change in a lab: enough to try it."""
SETTINGS = {
    "unix_socket_directories": "",  # no socket: nothing in /tmp, no limit on the length of a path
    "dynamic_shared_memory_type": "mmap",  # in the data directory, so that SIGKILL leaves nothing in /dev/shm
    "shared_buffers": "32MB",
    "max_connections": "100",
    "wal_level": "replica",
    "wal_log_hints": "on",  # pg_rewind can bring an old primary back
    "max_slot_wal_keep_size": "1GB",  # a replica that never returns must not fill the disk
    "wal_receiver_timeout": "10s",  # a silent primary is not dead as long as a replica believes to receive from it: not 60 s
    "wal_retrieve_retry_interval": "200ms",  # a replica comes back soon after its primary, not after 5 s
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
FAST = {"fsync": "off", "full_page_writes": "off"}  # not synchronous_commit: that would lose commits at SIGKILL
AUTHENTICATION = """\
# TYPE DATABASE USER ADDRESS METHOD
host all all {clients} scram-sha-256
host replication all {clients} scram-sha-256
"""


class PostgresServer(LabServer):
    """One PostgreSQL server; with ``replica_of``, a streaming replica over a physical slot of its own."""

    engine = "postgresql"
    superuser = TEMPLATE_SUPERUSER
    default_database = "postgres"
    application_database = observer_database = "lab"
    stop_signal = signal.SIGINT  # "fast" shutdown

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        binaries: PostgresBinaries,
        port: int | None = None,
        replica_of: Self | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, site, version_text=binaries.version_text, port=port, replica_of=replica_of, settings=settings)
        self.binaries = binaries

    async def role(self) -> Role:
        """A replica has a signal file, which a promotion removes."""
        return Role.REPLICA if (self.data_directory / "standby.signal").exists() else Role.PRIMARY

    @property
    def slot(self) -> str:
        """The name of the slot that a replica of this name uses on its primary."""
        return "lab_" + re.sub(r"[^a-z0-9_]", "_", self.name.lower())

    def conninfo(self, *, database: str = "postgres", user: str | None = None) -> str:
        """The superuser's libpq connection string, password included: for tests and tools, never for a log."""
        return psycopg.conninfo.make_conninfo(
            "",
            host=self.address.host,
            port=self.address.port,
            dbname=database,
            user=user or self.superuser,
            password=self.password.reveal(),
            connect_timeout=10,
            sslmode="disable",
        )

    async def connect(self, *, database: str = "postgres") -> psycopg.AsyncConnection:
        """An autocommit connection of the superuser."""
        return await psycopg.AsyncConnection.connect(self.conninfo(database=database), autocommit=True)

    async def _build_data(self) -> None:
        if self.primary is not None:
            await self._clone(self.primary)
        else:
            source = await template(self.binaries, self.site)
            self._template_password = await copy_template(source, self.data_directory, self.site)
            self.site.write_file(self.data_directory / "pg_hba.conf", AUTHENTICATION.format(clients=self.site.host.clients))
        self._write_settings()

    def _write_settings(self) -> None:
        settings = {**SETTINGS, "listen_addresses": self.site.host.address, "cluster_name": self.name}
        if not self.site.durable:
            settings |= FAST
        if (self.binaries.library / "pg_stat_statements.so").exists():
            settings["shared_preload_libraries"] = "pg_stat_statements"
        if self.primary is not None:
            settings |= {"primary_slot_name": self.slot, "primary_conninfo": self._primary_conninfo(self.primary)}
            self.site.write_file(self.data_directory / "standby.signal", "")
        settings |= self.settings
        lines = [f"{name} = {_quoted(value)}" for name, value in settings.items()]
        self.site.write_file(self.data_directory / "postgresql.conf", "\n".join(lines) + "\n")

    def _primary_conninfo(self, primary: "PostgresServer") -> str:
        return psycopg.conninfo.make_conninfo(
            "",
            host=primary.address.host,
            port=primary.address.port,
            user=REPLICATION_USER,
            passfile=str(self.directory / "pgpass"),
            application_name=self.name,
            sslmode="disable",
        )

    async def _clone(self, primary: "PostgresServer") -> None:
        async with await primary.connect() as connection:
            await _ensure_replication_user(connection, primary.password)
            row = await (
                await connection.execute(
                    "SELECT count(*) FROM pg_catalog.pg_replication_slots WHERE slot_name = %s", [self.slot]
                )
            ).fetchone()
        is_known = row is not None and row[0] > 0
        secret = primary.password.reveal()
        self.site.write_file(self.directory / "pgpass", f"*:*:*:{REPLICATION_USER}:{secret}\n")
        command: list[str | Path] = [
            self.binaries.program("pg_basebackup"),
            f"--dbname={self._primary_conninfo(primary)}",
            f"--pgdata={self.data_directory}",
            "--wal-method=stream",
            "--checkpoint=fast",
            f"--slot={self.slot}",
        ]
        if not is_known:
            command.append("--create-slot")
        if not self.site.durable:
            command.append("--no-sync")
        await run_program(command, account=self.site.account, directory=self.directory)

    def _command(self, port: int) -> list[str | Path]:
        return [self.binaries.program("postgres"), "-D", self.data_directory, "-p", str(port)]

    async def _is_ready(self) -> bool:
        """Source: ``src/include/utils/pidfile.h``: line 8 is the status; "standby" takes no connections, "ready" does."""
        try:
            lines = (self.data_directory / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        main = self.pid
        return len(lines) > 7 and lines[0] == str(main) and lines[7].strip() == "ready"

    def _started_by_others(self) -> Process | None:
        try:
            first = (self.data_directory / "postmaster.pid").read_text().splitlines()[0]
        except (OSError, IndexError):
            return None
        return next((one for one in self.processes() if str(one.pid) == first.strip()), None)

    def _says_port_taken(self, log: str) -> bool:
        return "could not bind" in log and "Address already in use" in log

    async def wait_streaming(self, *, timeout_seconds: float = 30.0) -> None:
        """Wait until this replica receives from its primary. Raises: LabError if it does not in time."""
        deadline = time.monotonic() + timeout_seconds
        async with await self.connect() as connection:
            while True:
                cursor = await connection.execute("SELECT status FROM pg_catalog.pg_stat_wal_receiver")
                row = await cursor.fetchone()
                if row == ("streaming",):
                    return
                if time.monotonic() > deadline:
                    state = "there is no WAL receiver" if row is None else f"its WAL receiver is {row[0]}"
                    raise LabError(f"{self.name} does not stream after {timeout_seconds:.0f} s: {state}")
                await asyncio.sleep(0.02)

    async def _after_first_start(self) -> None:
        if self.primary is not None:
            await self.wait_streaming()
            return
        wanted, self._password = self.password, Secret(self._template_password)
        async with await self.connect() as connection:
            await _set_password(connection, self.superuser, wanted)
        self._password = wanted
        await self._create_logins()

    async def _create_logins(self) -> None:
        if not self.logins:
            return
        async with await self.connect() as connection:
            for login in self.logins:
                await connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(login.user)))
                await _set_password(connection, login.user, login.password)
            owner = next((one.user for one in self.logins if not one.is_observer), self.superuser)
            await connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(self.application_database), sql.Identifier(owner))
            )
        async with await self.connect(database=self.application_database) as connection:
            for login in self.logins:
                if login.is_observer:
                    # Before version 15 only a superuser could be let change parameters.
                    changes = change_grants(login.user, _CHANGEABLE) if self.binaries.version >= 15 else ()
                    if self.binaries.version >= 15:
                        changes = (*changes, *succession_grants(login.user), *rejoin_grants(login.user))
                        changes = (*changes, *mischief_grants(login.user))
                    extras = (*changes, *backup_grants(login.user), *client_grants(login.user))
                    for statement in (grant_script(login.user), *extras):
                        await connection.execute(statement.encode())


async def _ensure_replication_user(connection: psycopg.AsyncConnection, password: Secret) -> None:
    row = await (
        await connection.execute("SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = %s", [REPLICATION_USER])
    ).fetchone()
    if row is not None and row[0] == 0:
        await connection.execute(sql.SQL("CREATE ROLE {} LOGIN REPLICATION").format(sql.Identifier(REPLICATION_USER)))
        await _set_password(connection, REPLICATION_USER, password)


async def _set_password(connection: psycopg.AsyncConnection, user: str, password: Secret) -> None:
    """Store a password without the clear text ever leaving this process: the server's log may record statements."""
    verifier = connection.pgconn.encrypt_password(password.reveal().encode(), user.encode(), b"scram-sha-256")
    await connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(verifier.decode())))


def _quoted(value: str) -> str:
    if "\n" in value:
        raise LabError(f"a setting of PostgreSQL cannot hold a line break: {value!r}")
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
