"""One node of a cluster that Patroni runs: Patroni itself, and the PostgreSQL that it starts, stops and promotes."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx
import yaml

from dbre.core.secrets import Secret
from dbre.engines.postgres.binaries import PostgresBinaries
from dbre.lab.errors import LabError, ServerFailed
from dbre.lab.etcd import EtcdServer
from dbre.lab.http_server import http_client
from dbre.lab.patroni.configuration import REST_USER, NodeParts, node_configuration
from dbre.lab.patroni.program import PatroniProgram
from dbre.lab.postgres.server import PostgresServer
from dbre.lab.processes import Process, send
from dbre.lab.server import PREPARED
from dbre.lab.site import Site

__all__ = ["NodeOptions", "PatroniServer"]

_SERVICE = "[lab]\ntcp_user_timeout=5000\n"
"""Of replication and pg_rewind. Patroni writes no such key into primary_conninfo: libpq takes it from a service file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """What nodes of one cluster share."""

    scope: str
    etcd: Sequence[EtcdServer]
    etcd_login: tuple[str, Secret] | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    watchdog: Mapping[str, Any] = field(default_factory=lambda: {"mode": "off"})


class PatroniServer(PostgresServer):
    """One node. Its main process is Patroni; ``start`` and ``stop`` are Patroni's, which does what is right with PostgreSQL."""

    stop_signal = signal.SIGTERM
    start_seconds: ClassVar[float] = 150.0  # it makes or copies its data first

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        binaries: PostgresBinaries,
        program: PatroniProgram,
        options: NodeOptions,
        port: int | None = None,
        first: Self | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, site, binaries=binaries, port=port, replica_of=first, settings=settings)
        self.program = program
        self.options = options
        self.work_directory = self.directory / "node"
        self.data_directory = self.work_directory / "data"

    @property
    def rest_url(self) -> str:
        """Where Patroni's REST API listens. Raises: LabError before the first start."""
        try:
            port = int((self.directory / "rest-port").read_text())
        except (OSError, ValueError) as error:
            raise LabError(f"{self.name} has no REST API yet: it was never started") from error
        return f"http://{self.site.host.address}:{port}"

    async def rest(self, method: str, path: str, document: object = None) -> Any:
        """Ask Patroni as the one who may change things. Raises: ServerFailed with what it answered."""
        try:
            async with http_client(self.rest_url, timeout_seconds=60) as client:
                answer = await client.request(method, path, json=document, auth=(REST_USER, self.password.reveal()))
        except httpx.HTTPError as error:
            raise ServerFailed(f"Patroni of {self.name} did not answer {method} {path}: {error!r}") from error
        if answer.is_error:
            said = f"{answer.status_code}: {answer.text[:500]}"
            raise ServerFailed(f"Patroni of {self.name} answered {method} {path} with {said}")
        return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else answer.text

    def postmaster(self) -> Process | None:
        """PostgreSQL's main process; None where it does not run."""
        try:
            pid = int((self.data_directory / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return next((one for one in self.processes() if one.pid == pid), None)

    def kill_postgres(self) -> None:
        """SIGKILL to PostgreSQL's main process alone: Patroni lives, and sees it. Raises: LabError where none runs."""
        found = self.postmaster()
        if found is None or not send(found, signal.SIGKILL):
            raise LabError(f"{self.name} runs no PostgreSQL")

    def signal_patroni(self, number: signal.Signals) -> None:
        """A signal to Patroni alone, such as SIGSTOP. Raises: LabError where it does not run."""
        main = self._living()
        if main is None or not send(main, number):
            raise LabError(f"{self.name} runs no Patroni")

    async def _build_data(self) -> None:
        self.site.make_directory(self.work_directory)
        self._keep("rest-port", str(self.site.host.choose_port()))
        self.site.write_file(self.directory / "service.conf", _SERVICE)

    def _write_configuration(self, port: int) -> Path:
        login = self.options.etcd_login
        parts = NodeParts(
            scope=self.options.scope,
            name=self.name,
            address=self.site.host.address,
            clients=self.site.host.clients,
            port=port,
            rest_port=int(self.rest_url.rpartition(":")[2]),
            directory=self.directory,
            data_directory=self.data_directory,
            bindir=self.binaries.directory,
            etcd=[str(one.address) for one in self.options.etcd],
            etcd_login=login,
            superuser=self.superuser,
            password=self.password,
            is_durable=self.site.durable,
            settings=self.settings,
            tags=self.options.tags,
            watchdog=self.options.watchdog,
        )
        return self.site.write_file(self.directory / "patroni.yml", yaml.safe_dump(node_configuration(parts), sort_keys=False))

    def _command(self, port: int) -> list[str | Path]:
        configuration = self._write_configuration(port)
        service = ["/usr/bin/env", "PGSERVICE=lab", f"PGSERVICEFILE={self.directory / 'service.conf'}"]
        return [*service, *self.program.command, configuration]

    async def _is_ready(self) -> bool:
        """Whether PostgreSQL runs, by Patroni's word; a node that is new must also stream, or be the primary."""
        try:
            async with http_client(self.rest_url, timeout_seconds=2) as client:
                state = (await client.get("/patroni")).json()
        except (httpx.HTTPError, ValueError):
            return False
        is_first_time = self.primary is None and not (self.directory / PREPARED).exists()
        return state.get("state") == "running" and (state.get("role") == "primary" or not is_first_time)

    def _says_port_taken(self, log: str) -> bool:
        return "Address already in use" in log

    async def _after_first_start(self) -> None:
        if self.primary is not None:
            await self.wait_streaming(timeout_seconds=self.start_seconds)
        else:
            await self._create_logins()
