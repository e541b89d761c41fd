"""Throw-away Redis Sentinels, which watch one primary and promote a replica when a quorum of them finds it dead."""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from dbre.core.secrets import Secret
from dbre.lab.model import LabSpec
from dbre.lab.programs import ServerProgram
from dbre.lab.redis import RedisServer, ask_inline
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.ports.session import Role

__all__ = ["SentinelServer", "sentinel_section", "sentinels_of"]


class SentinelServer(LabServer):
    """One Sentinel. It writes what it learns into its own configuration file, and so knows it again after a restart."""

    engine = "sentinel"
    superuser = "default"
    default_database = application_database = observer_database = None
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        program: ServerProgram,
        watched: RedisServer,
        master_name: str,
        quorum: int,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, site, version_text=program.version_text, port=port, replica_of=None, settings=settings)
        self.program, self.watched, self.master_name, self.quorum = program, watched, master_name, quorum

    async def role(self) -> Role:
        """A Sentinel has one role."""
        return Role.PRIMARY

    async def ask(self, command: str) -> str:
        """The answer to one inline command; empty if there is none."""
        return await ask_inline(self, command)

    def _initial_password(self) -> Secret:
        return self.watched.password

    async def _build_data(self) -> None:
        self.site.make_directory(self.data_directory)
        name = self.master_name
        of_master = {"down-after-milliseconds": "500", "failover-timeout": "10000", "parallel-syncs": "1", **self.settings}
        lines = [
            f"bind {self.site.host.address}",
            f"requirepass {self.password.reveal()}",
            f"sentinel monitor {name} {self.watched.address.host} {self.watched.address.port} {self.quorum}",
            f"sentinel auth-pass {name} {self.watched.password.reveal()}",
            *(f"sentinel {key} {name} {value}" for key, value in of_master.items()),
        ]
        self.site.write_file(self.data_directory / "sentinel.conf", "".join(f"{one}\n" for one in lines))

    def _command(self, port: int) -> list[str | Path]:
        return [self.program.path, self.data_directory / "sentinel.conf", "--port", str(port), "--sentinel"]

    async def _is_ready(self) -> bool:
        return (await self.ask("PING")).startswith("+PONG")

    def _says_port_taken(self, log: str) -> bool:
        return "Address already in use" in log

    async def _after_first_start(self) -> None:
        """There are no accounts to make."""


def sentinels_of(
    watched: RedisServer,
    sites: Sequence[Site],
    *,
    master_name: str,
    prefix: str = "sentinel",
    settings: Mapping[str, str] | None = None,
) -> tuple[SentinelServer, ...]:
    """Sentinels of one primary, one at each site, that agree by majority and have its password; nothing is started."""
    return tuple(
        SentinelServer(
            f"{prefix}-{1 + place}",
            site,
            program=watched.program,
            watched=watched,
            master_name=master_name,
            quorum=len(sites) // 2 + 1,
            settings=settings,
        )
        for place, site in enumerate(sites)
    )


def sentinel_section(sentinels: Sequence[SentinelServer], spec: LabSpec) -> Sequence[str]:
    """The section ``ha`` of a lab's configuration; empty where there are none. The password stays in its own file."""
    if not sentinels:
        return []
    return [
        "ha:",
        "  clusters:",
        f"    - cluster: {spec.name}",
        "      sentinel:",
        f"        addresses: [{', '.join(str(one.address) for one in sentinels)}]",
        f"        password: file:{sentinels[0].name}/password",
    ]
