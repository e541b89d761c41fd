"""A throw-away NATS server with JetStream."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

from dbre.core.programs.account import Account
from dbre.lab.programs import ServerProgram, find_program
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.ports.session import Role

__all__ = ["NatsServer", "find_nats"]


def find_nats(*, account: Account, bindir: Path | None = None) -> ServerProgram:
    """The installed server. Raises: BinariesMissing naming the package."""
    return find_program(("nats-server",), account=account, oldest=(2, 9, 0), package="nats-server", bindir=bindir)


class NatsServer(LabServer):
    """One server with JetStream in its data directory and the user ``dbre``; ``settings`` are lines of its configuration."""

    engine = "nats"
    superuser = "dbre"
    default_database = application_database = observer_database = None
    stop_signal = signal.SIGTERM

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

    @property
    def url(self) -> str:
        """Where clients reach it, without the password."""
        return f"nats://{self.address}"

    async def role(self) -> Role:
        """A single server has one role."""
        return Role.PRIMARY

    async def _build_data(self) -> None:
        self.site.make_directory(self.data_directory)
        settings = {
            "max_payload": "8MB",
            "jetstream": f'{{store_dir: "{self.data_directory}", max_mem: 64MB, max_file: 1GB}}',
            "authorization": f'{{user: "{self.superuser}", password: "{self.password.reveal()}"}}',
            **self.settings,
        }
        text = "".join(f"{name}: {value}\n" for name, value in settings.items())
        self.site.write_file(self.data_directory / "nats.conf", text)

    def _command(self, port: int) -> list[str | Path]:
        configuration = self.data_directory / "nats.conf"
        return [self.program.path, "-c", configuration, "-a", self.site.host.address, "-p", str(port)]

    async def _is_ready(self) -> bool:
        """Whether it greets a client and its log says that JetStream is there."""
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
                try:
                    return b'"jetstream":true' in await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    def _says_port_taken(self, log: str) -> bool:
        return "address already in use" in log

    async def _after_first_start(self) -> None:
        """Its user stands in its configuration."""
