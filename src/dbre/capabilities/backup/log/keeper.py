"""The keeper of the log: for every cluster whose policy has a log, receive, seal, guard and keep the time."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog

from dbre.capabilities.backup.documents import PolicyDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.archive_daemon import ARCHIVE_SOCKET, ArchiveDaemon, ArchivePlace
from dbre.capabilities.backup.log.cluster_log import ClusterLog
from dbre.capabilities.backup.log.known_gaps import RequestOperation
from dbre.capabilities.backup.log.places import LogVault
from dbre.core.errors import DbreError, Unsupported, UsageError
from dbre.core.store import Store
from dbre.ports.backup.model import LogPosition

__all__ = ["LogKeeper", "archive_socket"]

_KEEP_CLOCK = timedelta(days=35)
_AGAIN_SECONDS = 10.0
_log = structlog.get_logger(__name__)


def archive_socket(ground: BackupGround) -> Path:
    """Where servers on this machine hand over their log files."""
    configured = ground.settings.archive.socket
    return Path(configured) if configured is not None else ground.directory / ARCHIVE_SOCKET


class LogKeeper:
    """What a control plane runs beside its other parts. ``request`` asks for operations that close gaps."""

    def __init__(self, ground: BackupGround, *, request: RequestOperation | None = None) -> None:
        self._ground = ground
        self._store = _store_of(ground)
        self._clusters: dict[str, ClusterLog] = {}
        for cluster in ground.fleet.clusters:
            policy = ground.policy_of(cluster.name)
            if policy is not None and policy.log.mode != "none":
                self._clusters[cluster.name] = ClusterLog(
                    ground,
                    cluster,
                    policy,
                    store=self._store,
                    open_vaults=partial(self._open_vaults, policy),
                    request=request,
                    keep_clock=max(policy.retention.window or _KEEP_CLOCK, timedelta(days=1)),
                )

    @property
    def clusters(self) -> Mapping[str, ClusterLog]:
        """What is kept of which cluster."""
        return self._clusters

    def flushed(self, cluster: str) -> LogPosition | None:
        """Up to where the log of a cluster is durable in the spool of this process; None: nothing is received here."""
        found = self._clusters.get(cluster)
        return found.flushed() if found is not None else None

    async def run(self) -> None:
        """Keep the log of every cluster until cancelled; without any, only wait."""
        if not self._clusters:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            for one in self._clusters.values():
                group.create_task(one.run(), name=f"log of {one.cluster.name}")
            if any(one.policy.log.mode == "archive" for one in self._clusters.values()):
                group.create_task(self._take_files(), name="log files handed over")

    async def _take_files(self) -> None:
        daemon = ArchiveDaemon(archive_socket(self._ground), self._ground.place.account, self._archive_place)
        while True:
            try:
                await daemon.run()
            except DbreError as error:  # servers keep their files and try again; all else goes on
                _log.error("archive_daemon_stopped", reason=error.message, hint=error.hint)
            await self._ground.clock.sleep(_AGAIN_SECONDS)

    async def _archive_place(self, name: str) -> ArchivePlace:
        one = self._clusters.get(name)
        if one is None or one.policy.log.mode != "archive":
            raise UsageError(f"log files of {name!r} are not wanted", hint="backup.policies: log: {mode: archive}")
        return await one.archive_place()

    def _open_vaults(self, policy: PolicyDocument) -> AbstractAsyncContextManager[tuple[LogVault, ...]]:
        from dbre.capabilities.backup.vault.opening import open_vaults  # it loads drivers of storages

        return open_vaults(self._ground, policy.vaults)


def _store_of(ground: BackupGround) -> Store:
    if ground.store is None:
        raise Unsupported("log is kept beside a state store, and none is open here", hint="dbre server")
    return ground.store
