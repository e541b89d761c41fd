"""A throw-away etcd: one member, or several that agree by majority."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from dbre.core.programs.account import Account
from dbre.lab.errors import LabError
from dbre.lab.http_server import HttpLabServer, http_client
from dbre.lab.programs import ServerProgram, find_program
from dbre.lab.site import Site

__all__ = ["EtcdServer", "etcd_members", "find_etcd", "start_together"]


def find_etcd(*, account: Account, bindir: Path | None = None) -> ServerProgram:
    """The installed server. Raises: BinariesMissing naming the package."""
    return find_program(("etcd",), account=account, oldest=(3, 4, 0), package="etcd-server", bindir=bindir)


class EtcdServer(HttpLabServer):
    """One member of an etcd. Its port is that of clients; ``peer_port`` is that of the other members."""

    engine = "etcd"

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        program: ServerProgram,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, site, version_text=program.version_text, port=port, replica_of=None, settings=settings)
        self.program = program
        self.members: tuple[EtcdServer, ...] = (self,)
        self._peer_port: int | None = None

    @property
    def peer_port(self) -> int:
        """Where the other members reach it; kept beside its data. Raises: LabError before the first start."""
        if self._peer_port is None:
            try:
                self._peer_port = int((self.directory / "peer-port").read_text())
            except (OSError, ValueError) as error:
                raise LabError(f"{self.name} has no port for its peers yet: it was never started") from error
        return self._peer_port

    @property
    def peer_url(self) -> str:
        """Where the other members reach it, as a URL."""
        return f"http://{self.site.host.address}:{self.peer_port}"

    async def prepare(self) -> None:
        """Choose the port for the peers: each member is told those of all before the first one starts."""
        if not (self.directory / "peer-port").exists():
            self._make_directory()
            self._peer_port = self.site.host.choose_port()
            self._keep("peer-port", str(self._peer_port))

    async def _build_data(self) -> None:
        await self.prepare()
        self.site.make_directory(self.work_directory)

    def _command(self, port: int) -> list[str | Path]:
        given = {
            "name": self.name,
            "data-dir": str(self.data_directory / "member"),
            "listen-client-urls": f"http://{self.site.host.address}:{port}",
            "advertise-client-urls": f"http://{self.site.host.address}:{port}",
            "listen-peer-urls": self.peer_url,
            "initial-advertise-peer-urls": self.peer_url,
            "initial-cluster": ",".join(f"{one.name}={one.peer_url}" for one in self.members),
            "initial-cluster-token": self.members[0].name,
            "logger": "zap",
            "log-level": "warn",
            # Generous: on a busy machine a leader that is late by a second is no reason to elect another.
            "heartbeat-interval": "250",
            "election-timeout": "2500",
            # Else a member that was cut off comes back with a higher term, and nobody leads for longer than Patroni tries.
            "pre-vote": "true",
            **self.settings,
        }
        return [self.program.path, *(f"--{name}={value}" for name, value in given.items())]

    async def _is_ready(self) -> bool:
        """Whether it and a majority of its peers agree on a leader."""
        try:
            async with http_client(self.url, timeout_seconds=2) as client:
                answer = await client.get("/health")
        except httpx.HTTPError:
            return False
        return answer.is_success and '"true"' in answer.text


def etcd_members(name: str, sites: Sequence[Site], *, program: ServerProgram) -> tuple[EtcdServer, ...]:
    """The members of one etcd, one at each site, named ``name-1``, ``name-2``...; nothing is started."""
    servers = tuple(EtcdServer(f"{name}-{1 + place}", site, program=program) for place, site in enumerate(sites))
    for one in servers:
        one.members = servers
    return servers


async def start_together(members: Sequence[EtcdServer]) -> None:
    """Start all members: none answers before a majority is there. Raises: ServerFailed."""
    for one in members:
        await one.prepare()
    results = await asyncio.gather(*(one.start() for one in members), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
