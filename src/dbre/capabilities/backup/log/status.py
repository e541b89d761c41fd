"""How the log of one cluster stands: what the server keeps, what lies in the spool, what is in the vaults, what is missing."""

import asyncio
from dataclasses import dataclass

from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.gaps import MissingLog, coverage
from dbre.capabilities.backup.log.intervals import usable_sets
from dbre.capabilities.backup.log.origin import LogOrigin, find_origin, receiver_name
from dbre.capabilities.backup.log.places import spool_directory
from dbre.capabilities.backup.model import Catalog, LogState, RecoveryGap, StoredLog
from dbre.core.errors import Conflict, DbreError
from dbre.core.store import Store
from dbre.ports.backup.log_source import LogBacklog
from dbre.ports.backup.model import LogKind

__all__ = ["LogStatus", "find_missing", "log_status"]

_VAULTED = frozenset({LogState.VAULTED, LogState.VERIFIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStatus:
    """What is known; None is unknown."""

    cluster: str
    mode: str
    instance: str | None  # that writes the log
    system_id: str | None
    timeline: int | None
    backlog: LogBacklog | None
    newest_vaulted: StoredLog | None
    newest_verified: StoredLog | None
    spool_files: int
    spool_bytes: int
    missing: tuple[MissingLog, ...]
    open_gaps: tuple[RecoveryGap, ...]
    error: DbreError | None  # why the server could not be asked

    @property
    def is_good(self) -> bool:
        """Whether nothing is missing, and the log is being kept."""
        return self.error is None and not self.missing and not self.open_gaps and self.is_kept

    @property
    def is_kept(self) -> bool:
        """Whether somebody receives the log, or archiving by the server works."""
        if self.backlog is None:
            return self.error is None
        if self.mode == "archive":
            return self.backlog.archive_failed is None
        return self.backlog.is_active


async def log_status(ground: BackupGround, store: Store, cluster: str) -> LogStatus:
    """Ask the primary and look at what is stored. Raises: UsageError without a policy; StoreError."""
    policy = ground.require_policy(cluster)
    catalog = await load_catalog(store, cluster)
    origin: LogOrigin | None = None
    backlog, error = None, None
    try:
        origin = await find_origin(ground, ground.fleet.cluster(cluster), policy)
        backlog = await origin.source.backlog(receiver_name(cluster)) if origin.source is not None else None
    except DbreError as found:
        error = found
    segments = [one for one in catalog.logs if one.file.kind is LogKind.SEGMENT]
    system_id = origin.system_id if origin is not None else segments[-1].system_id if segments else None
    files, size = await asyncio.to_thread(_spool_size, ground, cluster, system_id)
    return LogStatus(
        cluster=cluster,
        mode=policy.log.mode,
        instance=origin.instance if origin is not None else None,
        system_id=system_id,
        timeline=origin.timeline if origin is not None else None,
        backlog=backlog,
        newest_vaulted=_newest([one for one in segments if one.state in _VAULTED]),
        newest_verified=_newest([one for one in segments if one.state is LogState.VERIFIED]),
        spool_files=files,
        spool_bytes=size,
        missing=find_missing(catalog),
        open_gaps=tuple(one for one in catalog.gaps if one.ended_at is None),
        error=error,
    )


def find_missing(catalog: Catalog) -> tuple[MissingLog, ...]:
    """Holes in the log behind the oldest usable set of each system, on every timeline that has log, each hole once."""
    found: dict[tuple[int, int], MissingLog] = {}
    usable = usable_sets(catalog)
    for system_id in sorted({one.system_id for one in usable}):
        logs = [one for one in catalog.logs if one.system_id == system_id]
        for timeline in sorted({one.file.timeline for one in logs if one.file.kind is LogKind.SEGMENT}):
            for one in (one for one in usable if one.system_id == system_id):
                if (start := one.needs_log_from) is None:
                    continue
                try:
                    seen = coverage(logs, catalog.switches, start=start, timeline=timeline, system_id=system_id)
                except Conflict:  # a set of another branch
                    continue
                found |= {(hole.timeline, hole.end.value): hole for hole in seen.missing}
                break
    return tuple(found[key] for key in sorted(found))


def _newest(logs: list[StoredLog]) -> StoredLog | None:
    return max(logs, key=lambda one: (one.received_at, one.file.timeline, one.file.start), default=None)


def _spool_size(ground: BackupGround, cluster: str, system_id: str | None) -> tuple[int, int]:
    if system_id is None:
        return 0, 0
    directory = spool_directory(ground.directory, cluster, system_id)
    try:
        sizes = [one.lstat().st_size for one in directory.iterdir() if not one.name.startswith(".")]
    except (FileNotFoundError, PermissionError):  # of the control plane, which is another user or another machine
        return 0, 0
    return len(sizes), sum(sizes)
