"""A lab: one primary with its replicas, in a directory that holds everything and goes away with it."""

import asyncio
import json
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from dbre.core.errors import DbreError
from dbre.core.programs.account import Account, choose_account
from dbre.core.programs.cache import cache_directory
from dbre.core.secrets import Secret
from dbre.core.text import closest
from dbre.lab.build import Blueprint, build_cluster, build_sentinels, build_servers, find_blueprint
from dbre.lab.destruction import uninterrupted
from dbre.lab.document import configuration
from dbre.lab.errors import LabError, UnknownLab
from dbre.lab.guardian import Guardian
from dbre.lab.load.model import LoadTarget
from dbre.lab.model import LabEngine, LabSpec, ServerState, ServerStatus, check_name
from dbre.lab.network.placing import build_network, places
from dbre.lab.observers import observer_lines
from dbre.lab.patroni.document import patroni_section
from dbre.lab.place import base_directory, claim, is_lab, labs_in, remove
from dbre.lab.sentinel import sentinel_section
from dbre.lab.server import LabServer, Login
from dbre.lab.site import Site
from dbre.lab.sites import disaster_lines
from dbre.ports.lease_settings import PRESETS
from dbre.ports.session import Role

__all__ = ["Lab", "lab_directory", "list_labs", "take_down"]

OBSERVER, APPLICATION = "dbre", "app"
_MANIFEST = "lab.json"
_OBSERVER_PASSWORD = "password"  # noqa: S105 -- the name of a file
_APPLICATION_PASSWORD = "application-password"  # noqa: S105 -- the name of a file


class Lab:
    """A running lab. ``servers[0]`` is the primary as it was built; a later promotion does not reorder."""

    def __init__(self, directory: Path, spec: LabSpec, blueprint: Blueprint, site: Site) -> None:
        self.directory = directory
        self.spec = spec
        sites = places(spec, site)
        self.cluster = build_cluster(spec, blueprint, sites)  # None: no Patroni
        self.servers: tuple[LabServer, ...]
        self.servers = self.cluster.nodes if self.cluster is not None else build_servers(spec, blueprint, sites)
        self.sentinels = build_sentinels(spec, self.servers, sites)
        self.stores: tuple[LabServer, ...] = self.cluster.etcd if self.cluster is not None else self.sentinels

    @classmethod
    async def create(
        cls,
        spec: LabSpec,
        directory: Path | None = None,
        *,
        guardian: Guardian | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> Self:
        """Build and start a lab. With ``guardian`` it does not outlive this process; without, it stays until ``down``.

        If anything fails, nothing is left. Raises: BinariesMissing, Conflict, DirectoryUnusable, ServerFailed.
        """
        account = choose_account(environment)
        where = lab_directory(spec.name, directory, environment=environment)
        cache = cache_directory(account, environment)
        blueprint = await find_blueprint(spec, account=account, cache=cache)
        watch = guardian or Guardian()
        is_ours = False
        try:
            with uninterrupted():  # else a second Ctrl-C could leave a directory that nobody watches
                claim(where, name=spec.name, account=account, servers=1 + spec.replicas)
                is_ours = True
                watch.watch(where)
            await asyncio.to_thread(build_network, spec, where)
            site = Site(directory=where, account=account, cache=cache, guardian=None, durable=spec.durable)
            lab = cls(where, spec, blueprint, site)
            lab._write_manifest(blueprint, account)
            await lab._start()
            if guardian is None:
                watch.release(where)
        except BaseException as error:
            if is_ours:
                with uninterrupted():  # people press Ctrl-C twice
                    remove(where)
                    watch.release(where)
            if is_ours and isinstance(error, OSError) and not isinstance(error, TimeoutError):
                raise LabError(f"the lab cannot be built in {where}: {error}") from error
            raise
        finally:
            if guardian is None:
                watch.close()  # which once more removes what could not be removed
        return lab

    @classmethod
    def open(cls, name: str, directory: Path | None = None, *, environment: Mapping[str, str] = os.environ) -> Self:
        """A lab that another process built. Raises: UnknownLab, LabError if it is only half built."""
        where = lab_directory(name, directory, environment=environment)
        if not is_lab(where):
            near = closest(name, [path.name for path in labs_in(where.parent)])
            raise UnknownLab(
                f"there is no lab {name!r} in {where}",
                hint=f"did you mean {near}?" if near else "start one: dbre lab up",
            )
        try:
            note = json.loads((where / _MANIFEST).read_text())
            spec = LabSpec(**{**note["spec"], "engine": LabEngine(note["spec"]["engine"])})
            account = Account(**note["account"])
            blueprint = Blueprint.from_document(note["blueprint"])
        except (OSError, ValueError, KeyError, TypeError, DbreError) as error:
            raise LabError(
                f"the lab in {where} is not complete: {error}", hint=f"take it down: dbre lab down --name {name}"
            ) from error
        site = Site(directory=where, account=account, cache=where, guardian=None, durable=spec.durable)
        return cls(where, spec, blueprint, site)

    @property
    def name(self) -> str:
        """The name of the lab and of its cluster in ``dbre.yaml``."""
        return self.spec.name

    @property
    def primary(self) -> LabServer:
        """The server that was built as the primary."""
        return self.servers[0]

    @property
    def replicas(self) -> tuple[LabServer, ...]:
        """The servers that were built as replicas."""
        return self.servers[1:]

    @property
    def observer(self) -> str:
        """The login of dbre: it holds what ``dbre engine sql --grants`` prints, and may change a few parameters."""
        return OBSERVER

    @property
    def observer_password_file(self) -> Path:
        """The observer's password, in a file that only we can read."""
        return self.directory / _OBSERVER_PASSWORD

    @property
    def config_file(self) -> Path:
        """The ``dbre.yaml`` of the lab."""
        return self.directory / "dbre.yaml"

    def server(self, name: str) -> LabServer:
        """A server by its name. Raises: UnknownLab with the nearest name."""
        every = {one.name: one for one in (*self.servers, *self.stores)}
        if name in every:
            return every[name]
        near = closest(name, list(every))
        hint = f"did you mean {near}?" if near else f"its servers: {', '.join(every)}"
        raise UnknownLab(f"lab {self.name!r} has no server {name!r}", hint=hint)

    def load_target(self) -> LoadTarget:
        """Whom a load client connects to: all servers, in search of the one that takes writes, as the application's user."""
        primary = self.primary
        path = self.directory / _APPLICATION_PASSWORD
        return LoadTarget(
            engine=primary.engine,
            addresses=tuple(one.address for one in self.servers),
            user=APPLICATION,
            password=Secret(path.read_text().strip()),
            database=primary.application_database,
        )

    async def status(self) -> list[ServerStatus]:
        """What each server is and does now; asks the kernel, and a server only for its role."""
        databases = [await _status(self.name, one, await one.role()) for one in self.servers]
        return [*databases, *[await _status(self.name, one, None) for one in self.stores]]

    async def down(self) -> None:
        """Kill all its servers and remove everything."""
        remove(self.directory)

    async def _start(self) -> None:
        logins = []
        for user, path in ((OBSERVER, _OBSERVER_PASSWORD), (APPLICATION, _APPLICATION_PASSWORD)):
            password = Secret(secrets.token_urlsafe(18))
            logins.append(Login(user=user, password=password, is_observer=user == OBSERVER))
            self._keep(path, password.reveal() + "\n")
        if self.cluster is not None and self.spec.patroni is not None:
            await self.cluster.start(PRESETS[self.spec.patroni], logins=logins)
        else:
            for server in self.servers:  # the primary first: replicas are made from it
                server.logins = tuple(logins)
                await server.start()
            await asyncio.gather(*(one.start() for one in self.sentinels))
        patroni = patroni_section(self.cluster, self.spec) if self.cluster is not None else ()
        sentinels = sentinel_section(self.sentinels, self.spec)
        observers = observer_lines(self.spec, has_section=bool(patroni))
        text = configuration(
            name=self.name,
            servers=self.servers,
            user=OBSERVER,
            directory=self.directory,
            patroni=patroni,
            sentinels=sentinels,
            observers=observers,
            disaster=disaster_lines(self.spec, has_section=bool(patroni or sentinels or observers)),
        )
        self._keep("dbre.yaml", text)

    def _write_manifest(self, blueprint: Blueprint, account: Account) -> None:
        spec = self.spec
        document = {
            "spec": {
                "name": spec.name,
                "engine": spec.engine,
                "replicas": spec.replicas,
                "version": spec.version,
                "durable": spec.durable,
                "patroni": spec.patroni,
                "sentinels": spec.sentinels,
                "network": spec.network,
                "sites": spec.sites,
                "round_trip_seconds": spec.round_trip_seconds,
                "observers": spec.observers,
            },
            "account": {"name": account.name, "uid": account.uid, "gid": account.gid, "switch": account.switch},
            "blueprint": blueprint.as_document(),
            "created_at": datetime.now(UTC).isoformat(),
        }
        self._keep(_MANIFEST, json.dumps(document, indent=1) + "\n")

    def _keep(self, name: str, text: str) -> None:
        """Write one file of ours: whole or not at all, readable by us only."""
        temporary = self.directory / f".{name}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(self.directory / name)


async def _status(lab: str, server: LabServer, role: Role | None) -> ServerStatus:
    awake = ServerState.RUNNING if server.is_running else ServerState.STOPPED
    return ServerStatus(
        lab=lab,
        name=server.name,
        engine=server.engine,
        version=server.version_text,
        role=role,
        state=ServerState.FROZEN if server.is_frozen else awake,
        address=server.address if server.was_started else None,
        pid=server.pid,
        processes=len(server.processes()),
        directory=server.directory,
    )


def lab_directory(name: str, directory: Path | None, *, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the lab of that name is: ``directory`` if given, else below the base directory. Raises: UsageError."""
    check_name(name)
    if directory is not None:
        return Path(os.path.abspath(directory))  # noqa: PTH100 -- resolve() would follow a link that we must refuse
    return base_directory(choose_account(environment), environment) / name


def list_labs(*, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The names of the labs below the base directory."""
    return [path.name for path in labs_in(base_directory(choose_account(environment), environment))]


def take_down(name: str, directory: Path | None = None, *, environment: Mapping[str, str] = os.environ) -> bool:
    """Remove a lab in whatever state it is; False if there is none. Raises: DirectoryUnusable, Denied, LabError."""
    return remove(lab_directory(name, directory, environment=environment))
