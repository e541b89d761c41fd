"""A throw-away HAProxy in front of servers of the lab."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

from dbre.core.fleet import Address
from dbre.core.programs.account import Account
from dbre.lab.programs import ServerProgram, find_program
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.ports.session import Role

__all__ = ["BACKEND", "HaproxyServer", "find_haproxy"]

BACKEND = "primary"


def find_haproxy(*, account: Account, bindir: Path | None = None) -> ServerProgram:
    """The installed HAProxy. Raises: BinariesMissing naming the package."""
    return find_program(("haproxy",), account=account, oldest=(2, 4, 0), package="haproxy", bindir=bindir, flag="-v")


class HaproxyServer(LabServer):
    """One HAProxy whose port leads to the first of ``servers``; the others are in maintenance.

    ``settings`` are lines of the backend: ``{"option": "httpchk ..."}``.
    """

    engine = "haproxy"
    superuser = ""  # the runtime API asks for no login: who may open its socket may use it
    default_database = application_database = observer_database = None
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        program: ServerProgram,
        servers: Mapping[str, Address],
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        level: str = "admin",
        api_port: int | None = None,
    ) -> None:
        super().__init__(name, site, version_text=program.version_text, port=port, replica_of=None, settings=settings)
        self.program = program
        self._servers = dict(servers)
        self._level = level  # what those who open the socket may do
        self._api_port = api_port  # of the runtime API over TCP, besides its socket

    @property
    def socket(self) -> Path:
        """The socket of its runtime API."""
        return self.data_directory / "s"  # short: a path of a socket has at most 107 bytes

    async def role(self) -> Role:
        """It has no role; clients write through it."""
        return Role.PRIMARY

    async def _build_data(self) -> None:
        self.site.make_directory(self.data_directory)

    def _command(self, port: int) -> list[str | Path]:
        lines = [
            "global",
            f"  stats socket {self.socket} mode 600 level {self._level}",
            *([f"  stats socket ipv4@{self.site.host.address}:{self._api_port} level {self._level}"] if self._api_port else []),
            "  maxconn 500",
            "defaults",
            "  mode tcp",
            "  timeout connect 2s",
            "  timeout client 1h",
            "  timeout server 1h",
            "frontend clients",
            f"  bind {self.site.host.address}:{port}",
            f"  default_backend {BACKEND}",
            f"backend {BACKEND}",
            *(f"  {name} {value}" for name, value in self.settings.items()),
            *(
                f"  server {name} {address}" + (" disabled" if index else "")
                for index, (name, address) in enumerate(self._servers.items())
            ),
        ]
        path = self.site.write_file(self.data_directory / "haproxy.cfg", "\n".join(lines) + "\n")
        return [self.program.path, "-db", "-f", path]

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_unix_connection(str(self.socket))
                try:
                    writer.write(b"show info\n")
                    return b"Uptime" in await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    def _says_port_taken(self, log: str) -> bool:
        return "Address already in use" in log

    async def _after_first_start(self) -> None:
        """It has no accounts."""
