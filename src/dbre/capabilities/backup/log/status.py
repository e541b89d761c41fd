"""How the log of one cluster stands: what the server keeps, what lies in the spool, what is in the vaults, what is missing."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbre.capabilities.backup.catalog.clock import list_samples
from dbre.capabilities.backup.catalog.loading import read_catalog
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.gaps import MissingLog
from dbre.capabilities.backup.log.missing import find_missing
from dbre.capabilities.backup.log.news import Trouble, lasting_troubles
from dbre.capabilities.backup.log.origin import LogOrigin, find_origin, receiver_name
from dbre.capabilities.backup.log.places import spool_directory
from dbre.capabilities.backup.model import LogState, RecoveryGap, StoredLog
from dbre.core.errors import DbreError
from dbre.core.store import Store
from dbre.core.text import printable
from dbre.ports.backup.log_source import BacklogState, LogBacklog
from dbre.ports.backup.model import LogKind

__all__ = ["LogStatus", "log_status"]

_VAULTED = frozenset({LogState.VAULTED, LogState.VERIFIED})
_SILENCE = timedelta(minutes=1)
"""A keeper at work notes every few seconds where the log is."""

_HARMLESS = frozenset({"backup.log_received_by_another"})  # one of two control planes has nothing to do


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
    troubles: tuple[Trouble, ...]  # that the keeper told, and did not tell to be well again
    heard_at: datetime | None  # when a keeper last noted where the log is
    asked_at: datetime
    error: DbreError | None  # why the server could not be asked

    @property
    def is_good(self) -> bool:
        """Whether nothing is missing, and the log is being kept."""
        return self.error is None and not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is not as it should be, in words; the server's silence is told by ``error``."""
        found = [*self.unkept]
        found += [f"{printable(one.message, limit=300)} (since {_utc(one.since)})" for one in self.harms]
        found += [
            f"a gap is open since {_utc(one.began_at)}: {printable(one.reason, limit=300)}; its remedy is"
            f" {printable(one.remedy, limit=200)}"
            for one in self.open_gaps
        ]
        found += [f"log is missing from {one.start.text} to {one.end.text} of timeline {one.timeline}" for one in self.missing]
        return tuple(found)

    @property
    def harms(self) -> tuple[Trouble, ...]:
        """Troubles of the keeper for which somebody has to do something."""
        return tuple(one for one in self.troubles if one.kind not in _HARMLESS)

    @property
    def unkept(self) -> tuple[str, ...]:
        """Why the log is not being kept, as far as the server that writes it knows."""
        return tuple(self._unkept())

    def _unkept(self) -> Iterator[str]:
        backlog = self.backlog
        if backlog is None:
            return
        if self.mode == "archive":
            if backlog.archive_failed is not None:
                file = printable(backlog.archive_failed, limit=80)
                yield f"archiving of {self.instance} fails on {file}: see the server's log"
        elif backlog.is_active is None:
            yield from self._unheard()
        elif not backlog.is_active:
            slot = receiver_name(self.cluster)
            why = {
                BacklogState.ABSENT: f"there is no slot {slot}",
                BacklogState.LOST: f"the server gave up slot {slot}",
            }.get(backlog.state, f"slot {slot} is not in use")
            yield f"nobody receives the log of {self.instance}: {why}; dbre server receives it"

    def _unheard(self) -> Iterator[str]:
        """The server does not know who receives its log; a keeper that is at work leaves traces."""
        if self.heard_at is None:
            yield f"nobody keeps the log of {self.instance}, and nobody ever did; dbre server keeps it"
        elif self.asked_at - self.heard_at > _SILENCE:
            yield f"nobody keeps the log of {self.instance} since {_utc(self.heard_at)}; dbre server keeps it"


async def log_status(ground: BackupGround, store: Store, cluster: str) -> LogStatus:
    """Ask the primary and look at what is stored. Raises: UsageError without a policy; StoreError."""
    policy = ground.require_policy(cluster)
    async with store.read() as connection:
        catalog = await read_catalog(connection, cluster)
        samples = await list_samples(connection, cluster, limit=1)
        troubles = await lasting_troubles(connection, cluster)
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
        missing=find_missing(catalog, only_open=True),
        open_gaps=tuple(one for one in catalog.gaps if one.ended_at is None),
        troubles=tuple(troubles),
        heard_at=samples[-1].at if samples else None,
        asked_at=ground.clock.now(),
        error=error,
    )


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"


def _newest(logs: list[StoredLog]) -> StoredLog | None:
    return max(logs, key=lambda one: (one.received_at, one.file.timeline, one.file.start), default=None)


def _spool_size(ground: BackupGround, cluster: str, system_id: str | None) -> tuple[int, int]:
    if system_id is None:
        return 0, 0
    directory = spool_directory(ground.directory, cluster, system_id)
    try:
        paths = [one for one in directory.iterdir() if not one.name.startswith(".")]
    except (FileNotFoundError, PermissionError):  # of the control plane, which is another user or another machine
        return 0, 0
    sizes = []
    for path in paths:
        with suppress(FileNotFoundError):  # stored and let go while we looked: the others still count
            sizes.append(path.lstat().st_size)
    return len(sizes), sum(sizes)
