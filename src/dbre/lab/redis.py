"""A throw-away Redis server: a primary, or a replica of one."""

import asyncio
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from dbre.core.programs.account import Account
from dbre.lab.errors import LabError
from dbre.lab.grants import (
    observer_backup_grants,
    observer_client_grants,
    observer_grants,
    observer_mischief_grants,
    observer_succession_grants,
)
from dbre.lab.programs import ServerProgram, find_program
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.ports.session import Role

__all__ = ["RedisServer", "ask_inline", "find_redis"]

_TIMESTAMPS_SINCE = (7, 0, 0)
_EXTRAS = (observer_backup_grants, observer_client_grants, observer_succession_grants, observer_mischief_grants)
_APPLICATION_COMMANDS = "+@connection +@read +@write +role"


def find_redis(*, account: Account, bindir: Path | None = None) -> ServerProgram:
    """The installed Redis or Valkey server. Raises: BinariesMissing naming the package."""
    names = ("redis-server", "valkey-server")
    return find_program(names, account=account, oldest=(6, 0, 0), package="redis-server", bindir=bindir)


class RedisServer(LabServer):
    """One Redis server with an append-only file; with ``replica_of``, a replica."""

    engine = "redis"
    superuser = "default"
    default_database = None
    application_database = observer_database = None
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
        """What it says, or as it was built if it does not answer."""
        answer = "" if self.is_frozen or not self.was_started else await self._ask("INFO replication")
        if "role:" in answer:
            return Role.REPLICA if "role:slave" in answer else Role.PRIMARY
        return Role.PRIMARY if self.primary is None else Role.REPLICA

    async def _build_data(self) -> None:
        self.site.make_directory(self.data_directory)
        secret = self.password.reveal()
        settings = {
            "bind": self.site.host.address,
            "daemonize": "no",
            "requirepass": secret,
            "masterauth": secret,
            "appendonly": "yes",  # written before the answer is sent, so that SIGKILL loses nothing
            "appendfsync": "always" if self.site.durable else "no",
            "save": '""',
            "maxmemory": "64mb",
            "maxmemory-policy": "noeviction",
            "repl-diskless-sync-delay": "0",
            **({"aof-timestamp-enabled": "yes"} if self.program.version >= _TIMESTAMPS_SINCE else {}),  # moments to recover
            **({"replicaof": f"{self.primary.address.host} {self.primary.address.port}"} if self.primary else {}),
            **self.settings,
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        for login in self.logins:
            rules = f"on ~lab_ledger:* -@all {_APPLICATION_COMMANDS}"
            if login.is_observer:
                more = (one for make in _EXTRAS for one in make(self.engine, login.user))
                scripts = (observer_grants(self.engine, login.user), *more)
                rules = " ".join(one.strip().removeprefix(f"ACL SETUSER {login.user} ") for one in scripts)
            text += f"user {login.user} >{login.password.reveal()} {rules}\n"
        self.site.write_file(self.directory / "redis.conf", text)

    def _command(self, port: int) -> list[str | Path]:
        # The directory comes last: a path with blanks is safe as an argument, not in the file.
        return [self.program.path, self.directory / "redis.conf", "--port", str(port), "--dir", self.data_directory]

    async def _is_ready(self) -> bool:
        return (await self._ask("PING")).startswith("+PONG")

    def _says_port_taken(self, log: str) -> bool:
        return "Address already in use" in log

    async def _after_first_start(self) -> None:
        if self.primary is not None:
            await self.wait_streaming()

    async def wait_streaming(self, *, timeout_seconds: float = 30.0) -> None:
        """Wait until this replica is in step with its primary. Raises: LabError if it is not in time."""
        deadline = time.monotonic() + timeout_seconds
        while "master_link_status:up" not in await self._ask("INFO replication"):
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} does not follow {self.primary} after {timeout_seconds:.0f} s")
            await asyncio.sleep(0.02)

    async def _ask(self, command: str) -> str:
        """The answer to one inline command; empty if there is none."""
        return await ask_inline(self, command)


async def ask_inline(server: LabServer, command: str) -> str:
    """The answer of a server that speaks Redis's protocol to one inline command; empty if there is none."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
            try:
                writer.write(f"AUTH {server.password.reveal()}\r\n{command}\r\n".encode())
                writer.write_eof()  # Sentinels do not know QUIT
                answer = (await reader.read()).decode(errors="replace")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ""
    return answer.removeprefix("+OK\r\n")
