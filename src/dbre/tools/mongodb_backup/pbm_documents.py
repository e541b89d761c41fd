"""What ``pbm status -o json`` and ``pbm list -o json`` say, read strictly. Moments are seconds: finer PBM does not tell.

Source: Percona Backup for MongoDB, "PBM commands": ``pbm status``, ``pbm list``; ``cmd/pbm/status.go``, ``cmd/pbm/list.go``
of 2.x (snapshots, PITR ranges; ``restoreTo`` is the last write of a snapshot; ``src`` is what an incremental stands on).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import counted, printable
from dbre.ports.backup.model import CopyKind, LogFile, LogKind, Problem
from dbre.ports.backup.repository import ForeignLog, ForeignSet
from dbre.tools.moments import moment_of_epoch
from dbre.tools.mongodb_backup.optime import optime

__all__ = ["Listing", "Status", "foreign_logs", "parse_list", "parse_status", "pbm_problems", "sets_of"]

_SECOND = 2**32
_KINDS = {
    "logical": CopyKind.LOGICAL,
    "physical": CopyKind.FULL,
    "incremental": CopyKind.INCREMENTAL,
    "external": CopyKind.SNAPSHOT,
}
_DONE = "done"


class Snapshot(msgspec.Struct, frozen=True):
    """One backup."""

    name: str
    status: str
    restore_to: int | None = msgspec.field(name="restoreTo", default=None)
    complete: int | None = msgspec.field(name="completeTS", default=None)  # what 1.x calls it
    type: str | None = None
    src: str | None = None
    size: int | None = None
    error: str | None = None
    namespaces: list[str] | None = msgspec.field(name="nss", default=None)
    version: str | None = msgspec.field(name="pbmVersion", default=None)

    @property
    def last_write(self) -> int | None:
        """The second up to which it is consistent."""
        return self.restore_to or self.complete


class _Range(msgspec.Struct, frozen=True):
    start: int
    end: int


class Chunk(msgspec.Struct, frozen=True):
    """A stretch of the oplog without a hole, both seconds included."""

    range: _Range


class _Chunks(msgspec.Struct, frozen=True):
    chunks: list[Chunk] | None = msgspec.field(name="pitrChunks", default=None)
    size: int | None = None


class _Backups(msgspec.Struct, frozen=True):
    snapshot: list[Snapshot] | None = None
    chunks: _Chunks | None = msgspec.field(name="pitrChunks", default=None)
    path: str | None = None


class _Agent(msgspec.Struct, frozen=True):
    host: str
    ok: bool = False
    errors: list[str] | None = msgspec.field(name="errs", default=None)


class _Shard(msgspec.Struct, frozen=True):
    rs: str
    nodes: list[_Agent] | None = None


class _Pitr(msgspec.Struct, frozen=True):
    conf: bool = False
    run: bool = False
    error: str | None = None


class Status(msgspec.Struct, frozen=True):
    """``pbm status``."""

    backups: _Backups = _Backups()
    cluster: list[_Shard] | None = None
    pitr: _Pitr = _Pitr()

    @property
    def snapshots(self) -> list[Snapshot]:
        """All backups, failed ones too, oldest first."""
        return sorted(self.backups.snapshot or [], key=lambda one: one.name)

    @property
    def chunks(self) -> list[Chunk]:
        """The stretches of the oplog, oldest first."""
        found = self.backups.chunks.chunks if self.backups.chunks is not None else None
        return sorted(found or [], key=lambda one: (one.range.start, one.range.end))


class _ListedPitr(msgspec.Struct, frozen=True):
    on: bool = False
    ranges: list[Chunk] | None = None


class Listing(msgspec.Struct, frozen=True):
    """``pbm list``: what PBM itself would restore; only finished backups and ranges that have a base."""

    snapshots: list[Snapshot] | None = None
    pitr: _ListedPitr = _ListedPitr()


def parse_status(text: bytes) -> Status:
    """Raises: ProgramFailed."""
    try:
        return msgspec.json.decode(text, type=Status)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _unreadable("status", error) from error


def parse_list(text: bytes) -> Listing:
    """Raises: ProgramFailed."""
    try:
        return msgspec.json.decode(text, type=Listing)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _unreadable("list", error) from error


def _unreadable(command: str, error: Exception) -> ProgramFailed:
    return ProgramFailed(
        f"pbm {command} -o json says something else than was expected: {error}",
        hint="PBM 2.0 and later are understood: pbm version; while storage is resynced it tells no backups",
    )


def sets_of(status: Status, *, system_id: str) -> tuple[ForeignSet, ...]:
    """The finished backups of whole clusters. They begin when their name says, which is when PBM started them."""
    found = []
    for one in status.snapshots:
        last = one.last_write
        if one.status != _DONE or one.namespaces or last is None:
            continue
        started = _named(one.name)
        stopped = moment_of_epoch(last, who="pbm status")
        begin = min(int(started.timestamp()), last)
        incremental = one.type == "incremental" and bool(one.src)
        kind = CopyKind.FULL if one.type == "incremental" and not incremental else _KINDS.get(one.type or "logical")
        if kind is None:
            raise ProgramFailed(f"pbm status tells of a backup of unknown type {printable(one.type or '', limit=40)!r}")
        found.append(
            ForeignSet(
                label=one.name,
                kind=kind,
                parent=one.src if incremental else None,
                system_id=system_id,
                start=optime(begin * _SECOND),
                stop=optime((last + 1) * _SECOND),
                started_at=started,
                stopped_at=stopped,
                bytes_source=None,
                bytes_stored=one.size,
                error=one.error or None,
                version_text=one.version,
            )
        )
    return tuple(found)


def _named(name: str) -> datetime:
    try:
        return datetime.strptime(name, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise ProgramFailed(
            f"pbm status tells of a backup {printable(name, limit=60)!r}, which is no name of PBM", hint="2026-11-21T10:00:00Z"
        ) from error


def foreign_logs(status: Status, *, system_id: str) -> tuple[ForeignLog, ...]:
    """The oplog that each backup holds for itself, and the slices of point-in-time recovery."""
    own = [
        _log(one.label, one.start.value, one.stop.value, one.stopped_at, system_id)
        for one in sets_of(status, system_id=system_id)
        if one.start is not None and one.stop is not None
    ]
    slices = [
        _log(
            f"pitr-{one.range.start}-{one.range.end}",
            one.range.start * _SECOND,
            (one.range.end + 1) * _SECOND,
            None,
            system_id,
        )
        for one in status.chunks
        if one.range.start <= one.range.end
    ]
    return tuple(sorted(own + slices, key=lambda one: (one.file.start, one.file.end, one.file.name)))


def _log(name: str, start: int, end: int, stored_at: datetime | None, system_id: str) -> ForeignLog:
    file = LogFile(name=name, kind=LogKind.SEGMENT, timeline=1, start=start, end=end, size=0, sha256="")
    return ForeignLog(system_id=system_id, file=file, stored_at=stored_at)


def pbm_problems(status: Status, listing: Listing) -> Iterator[Problem]:
    """What PBM complains of, and what stands in the way of recovery to a moment."""
    for one in status.snapshots:
        name = printable(one.name, limit=60)
        if one.status == "error":
            yield _problem(
                "backup.tool_says", f"backup {name} failed: {printable(one.error or 'no reason', limit=300)}", "pbm logs"
            )
        elif one.namespaces:
            yield _problem("backup.partial_set", f"backup {name} is of some namespaces only", "it does not count here")
    if not status.pitr.conf:
        yield _problem(
            "backup.no_archived_log",
            "point-in-time recovery is off: everything since the last backup is lost with the cluster",
            "pbm config --set pitr.enabled=true",
        )
    elif not status.pitr.run or status.pitr.error:
        said = f": {printable(status.pitr.error, limit=300)}" if status.pitr.error else ""
        yield _problem("backup.tool_says", f"point-in-time recovery is on and does not run{said}", "pbm logs -e pitr")
    for shard in status.cluster or []:
        bad = [one for one in shard.nodes or [] if not one.ok]
        if bad:
            said = "; ".join(bad[0].errors or []) or "no reason is told"
            yield _problem(
                "backup.tool_says",
                f"{counted(len(bad), 'agent')} of {printable(shard.rs, limit=60)} not good, "
                f"{printable(bad[0].host, limit=100)}: {printable(said, limit=200)}",
                "pbm status; start pbm-agent beside every mongod",
            )
    yield from _unlisted(status, listing.snapshots or [])


def _unlisted(status: Status, listed: Sequence[Snapshot]) -> Iterator[Problem]:
    """A backup that is done and that ``pbm list`` leaves out does not fit this cluster any more."""
    names = {one.name for one in listed}
    missing = [one.name for one in status.snapshots if one.status == _DONE and one.name not in names]
    if missing and listed:
        yield _problem(
            "backup.tool_says",
            f"{counted(len(missing), 'backup')} done and not in pbm list, the newest {printable(missing[-1], limit=60)}",
            "other shards, replica set names or versions than now: pbm describe-backup",
        )


def _problem(rule: str, message: str, hint: str) -> Problem:
    return Problem(rule=rule, message=message, hint=hint, is_blocking=False)
