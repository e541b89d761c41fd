"""A throw-away Kafka broker in KRaft mode: broker and controller in one process."""

import asyncio
import base64
import secrets
import shutil
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from dbre.core.programs.errors import BinariesMissing
from dbre.lab.programs import ServerProgram
from dbre.lab.server import LabServer
from dbre.lab.site import Site, run_program
from dbre.ports.session import Role

__all__ = ["KafkaServer", "find_kafka"]

_OLDEST = (3, 3)  # from here on KRaft is for production
_FORMAT_SECONDS = 60.0
_API_VERSIONS = b"\x00\x00\x00\x0f" + b"\x00\x12\x00\x00\x00\x00\x00\x01\x00\x05probe"  # request 18, version 0, correlation 1


def find_kafka(jars: Path) -> ServerProgram:
    """The broker whose jars lie in a directory, and the Java that runs it. Raises: BinariesMissing."""
    hint = "scripts/test-kafka lets Maven fetch it"
    java = shutil.which("java")
    if java is None:
        raise BinariesMissing("no java here", hint="install it: apt install openjdk-17-jre-headless")
    found = sorted(jars.glob("kafka_2.*.jar"))
    if not found:
        raise BinariesMissing(f"no jars of Kafka in {jars}", hint=hint)
    version = tuple(int(part) for part in found[-1].stem.rpartition("-")[2].split(".") if part.isdigit())
    if version < _OLDEST:
        raise BinariesMissing(f"{found[-1]} is older than 3.3", hint=hint)
    return ServerProgram(path=Path(java), version=version)


class KafkaServer(LabServer):
    """One broker without logins, on loopback; ``settings`` are lines of its configuration."""

    engine = "kafka"
    superuser = ""
    default_database = application_database = observer_database = None
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        program: ServerProgram,
        jars: Path,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, site, version_text=program.version_text, port=port, replica_of=None, settings=settings)
        self.program = program
        self._jars = jars

    async def role(self) -> Role:
        """A single broker has one role."""
        return Role.PRIMARY

    async def _build_data(self) -> None:
        self.site.make_directory(self.data_directory)
        self._write_configuration(self.site.host.choose_port())
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "A", 1)
        command = self._java("kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", self._configuration)
        await run_program(command, account=self.site.account, directory=self.data_directory, timeout_seconds=_FORMAT_SECONDS)

    @property
    def _configuration(self) -> Path:
        return self.data_directory / "server.properties"

    def _write_configuration(self, port: int) -> None:
        where, controller = self.site.host.address, self.site.host.choose_port()
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{where}:{controller}",
            "listeners": f"PLAINTEXT://{where}:{port},CONTROLLER://{where}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{where}:{port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.data_directory / "logs"),
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            **self.settings,
        }
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        self._configuration.unlink(missing_ok=True)
        self.site.write_file(self._configuration, text)

    def _java(self, *arguments: str | Path) -> list[str | Path]:
        limits = ["-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        return [self.program.path, *limits, "-cp", f"{self._jars}/*", *arguments]

    def _command(self, port: int) -> list[str | Path]:
        self._write_configuration(port)
        return self._java("kafka.Kafka", self._configuration)

    async def _is_ready(self) -> bool:
        """Whether it answers a question about its versions."""
        try:
            return await asyncio.to_thread(self._asks)
        except OSError:
            return False

    def _asks(self) -> bool:
        with socket.create_connection((self.address.host, self.address.port), 2) as connection:
            connection.settimeout(5)
            connection.sendall(_API_VERSIONS)
            return len(connection.recv(4)) == 4

    def _says_port_taken(self, log: str) -> bool:
        return "Address already in use" in log

    async def _after_first_start(self) -> None:
        """There are no accounts."""
