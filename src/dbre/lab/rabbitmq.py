"""A throw-away RabbitMQ broker: one node with a port mapper (epmd) of its own, as an unprivileged user."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

from dbre.core.programs.account import Account
from dbre.core.programs.errors import BinariesMissing
from dbre.lab.free_port import LOOPBACK
from dbre.lab.programs import ServerProgram
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.ports.session import Role

__all__ = ["RabbitMqServer", "find_rabbitmq"]

_HOME = Path("/usr/lib/rabbitmq")
_OLDEST = (3, 8)
_GREETING = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = 1


def find_rabbitmq(*, account: Account, home: Path = _HOME) -> ServerProgram:  # noqa: ARG001 - the signature of its siblings
    """The installed broker; the program below ``home``, because the one on the path changes to another user.

    Raises: BinariesMissing naming the package.
    """
    hint = "install it: scripts/install-test-servers (apt: rabbitmq-server)"
    program = home / "bin" / "rabbitmq-server"
    found = sorted(_version(path.name.rpartition("-")[2]) for path in home.glob("lib/rabbitmq_server-*"))
    if not program.exists() or not found:
        raise BinariesMissing(f"no rabbitmq-server in {home}", hint=hint, context={"package": "rabbitmq-server"})
    if found[-1] < _OLDEST:
        raise BinariesMissing(f"{program} is version {'.'.join(map(str, found[-1]))}; the oldest that works is 3.8", hint=hint)
    return ServerProgram(path=program, version=found[-1])


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


class RabbitMqServer(LabServer):
    """One broker with the user ``dbre`` in the virtual host ``/``; ``settings`` are lines of its ``rabbitmq.conf``."""

    engine = "rabbitmq"
    superuser = "dbre"
    default_database = "/"
    application_database = observer_database = None
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
        self._mapper_port = 0

    @property
    def url(self) -> str:
        """Where clients reach it, without the password."""
        return f"amqp://{self.superuser}@{self.address}/"

    async def role(self) -> Role:
        """A single node has one role."""
        return Role.PRIMARY

    async def _build_data(self) -> None:
        self.site.make_directory(self.data_directory)
        settings = {
            "default_user": self.superuser,
            "default_pass": self.password.reveal(),
            "loopback_users": "none",
            "disk_free_limit.absolute": "10MB",
            "vm_memory_high_watermark.absolute": "256MB",
            "log.console": "true",
            "log.console.level": "warning",
            "log.file": "false",
            **self.settings,
        }
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        self.site.write_file(self.data_directory / "rabbitmq.conf", text)
        self.site.write_file(self.data_directory / "enabled_plugins", "[].\n")

    def _command(self, port: int) -> list[str | Path]:
        variables = {
            "RABBITMQ_NODENAME": f"{self.name}-{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": self.site.host.address,
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(self.site.host.choose_port()),
            "RABBITMQ_CONFIG_FILE": self.data_directory / "rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": self.data_directory / "none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.data_directory / "enabled_plugins",
            "RABBITMQ_MNESIA_BASE": self.data_directory,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": self.data_directory,
            # One scheduler that sleeps when it has nothing to do, and no listener of the cluster beyond loopback.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
            ),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the server instead of watching it
        }
        return ["/usr/bin/env", *(f"{name}={value}" for name, value in variables.items()), self.program.path]

    async def _start_on(self, port: int) -> None:
        self._mapper_port = self.site.host.choose_port()
        mapper = ["epmd", "-address", LOOPBACK, "-port", str(self._mapper_port)]
        self.site.spawn(mapper, directory=self.data_directory, log=self.log_file)  # ends with the server's directory
        await super()._start_on(port)

    async def _is_ready(self) -> bool:
        """Whether it answers the greeting of a client."""
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
                try:
                    writer.write(_GREETING)
                    return (await reader.readexactly(1))[0] == _METHOD_FRAME
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False

    def _says_port_taken(self, log: str) -> bool:
        return "eaddrinuse" in log

    async def _after_first_start(self) -> None:
        """Its first user was made from the settings."""
