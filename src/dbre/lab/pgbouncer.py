"""A throw-away PgBouncer in front of PostgreSQL servers of the lab."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

import psycopg

from dbre.core.fleet import Address
from dbre.core.programs.account import Account
from dbre.core.secrets import Secret
from dbre.lab.programs import ServerProgram, find_program
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.ports.session import Role

__all__ = ["PgBouncerServer", "find_pgbouncer"]


def find_pgbouncer(*, account: Account, bindir: Path | None = None) -> ServerProgram:
    """The installed PgBouncer. Raises: BinariesMissing naming the package."""
    return find_program(("pgbouncer",), account=account, oldest=(1, 15, 0), package="pgbouncer", bindir=bindir)


class PgBouncerServer(LabServer):
    """One PgBouncer in transaction mode whose databases stand in a file of their own, ``databases.ini``.

    ``databases`` are names and where they lead; ``users`` who may come in, with the passwords that PostgreSQL knows too.
    The superuser is the user of the admin console. ``settings`` are lines of ``[pgbouncer]``.
    """

    engine = "pgbouncer"
    superuser = "dbre"
    default_database = "pgbouncer"
    application_database = observer_database = None
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        program: ServerProgram,
        databases: Mapping[str, Address],
        users: Mapping[str, Secret],
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, site, version_text=program.version_text, port=port, replica_of=None, settings=settings)
        self.program = program
        self._databases = dict(databases)
        self._users = dict(users)

    @property
    def databases_file(self) -> Path:
        """What ``pgbouncer.ini`` includes."""
        return self.data_directory / "databases.ini"

    async def role(self) -> Role:
        """It has no role; clients write through it."""
        return Role.PRIMARY

    def conninfo(self, *, database: str, user: str) -> str:
        """The connection string of a client, password included: for tests and tools, never for a log."""
        users = {**self._users, self.superuser: self.password}
        return psycopg.conninfo.make_conninfo(
            "", host=self.address.host, port=self.address.port, dbname=database, user=user,
            password=users[user].reveal(), connect_timeout=10, sslmode="disable",
        )  # fmt: skip

    async def _build_data(self) -> None:
        self.site.make_directory(self.data_directory)
        lines = [f"{name} = host={one.host} port={one.port} dbname={name}" for name, one in self._databases.items()]
        self.site.write_file(self.databases_file, "\n".join(lines) + "\n")
        users = {**self._users, self.superuser: self.password}
        accounts = "".join(f'"{user}" "{password.reveal()}"\n' for user, password in users.items())
        self.site.write_file(self.data_directory / "users.txt", accounts)

    def _command(self, port: int) -> list[str | Path]:
        settings = {
            "listen_addr": self.site.host.address,
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(self.data_directory / "users.txt"),
            "admin_users": self.superuser,
            "pool_mode": "transaction",
            "server_login_retry": "1",
            "max_client_conn": "500",
            **self.settings,
        }
        text = f"[databases]\n%include {self.databases_file}\n[pgbouncer]\n"
        text += "".join(f"{name} = {value}\n" for name, value in settings.items())
        return [self.program.path, self.site.write_file(self.data_directory / "pgbouncer.ini", text)]

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(2), await self._connect() as connection:
                await connection.execute("SHOW VERSION")
        except (psycopg.Error, TimeoutError):
            return False
        return True

    async def _connect(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(
            self.conninfo(database="pgbouncer", user=self.superuser),
            autocommit=True,
            cursor_factory=psycopg.AsyncClientCursor,
        )

    def _says_port_taken(self, log: str) -> bool:
        return "Address already in use" in log

    async def _after_first_start(self) -> None:
        """Its users stand in a file."""
