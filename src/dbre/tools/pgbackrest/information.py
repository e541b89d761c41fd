"""What ``pgbackrest info --output=json`` says, read strictly.

Source: pgBackRest, ``src/command/info/info.c``; the user guide calls this form the interface for programs.
"""

import re
from collections.abc import Sequence

import msgspec

from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.model import CopyKind, LogPosition
from dbre.ports.backup.repository import ForeignSet
from dbre.tools.moments import moment_of_epoch
from dbre.tools.wal_archive import position

__all__ = ["Stanza", "parse_information", "sets_of"]

_KINDS = {"full": CopyKind.FULL, "incr": CopyKind.INCREMENTAL, "diff": CopyKind.DIFFERENTIAL}


class _Database(msgspec.Struct):
    id: int
    repo_key: int = msgspec.field(name="repo-key", default=1)


class _KnownServer(_Database):
    system_id: int = msgspec.field(name="system-id", default=0)
    version: str = ""


class _ArchiveOf(msgspec.Struct):
    database: _Database
    id: str
    min: str | None = None
    max: str | None = None


class _Segments(msgspec.Struct):
    start: str | None = None
    stop: str | None = None


class _Moments(msgspec.Struct):
    start: int
    stop: int


class _Stored(msgspec.Struct):
    delta: int | None = None


class _Sizes(msgspec.Struct):
    delta: int | None = None
    repository: _Stored = msgspec.field(default_factory=_Stored)


class _Backup(msgspec.Struct):
    label: str
    type: str
    database: _Database
    timestamp: _Moments
    archive: _Segments = msgspec.field(default_factory=_Segments)
    lsn: _Segments = msgspec.field(default_factory=_Segments)
    info: _Sizes = msgspec.field(default_factory=_Sizes)
    prior: str | None = None
    error: bool | None = None


class _Held(msgspec.Struct):
    held: bool = False
    size: int | None = None
    size_complete: int | None = msgspec.field(name="size-cplt", default=None)


class _Lock(msgspec.Struct):
    backup: _Held = msgspec.field(default_factory=_Held)


class _Status(msgspec.Struct):
    code: int
    message: str
    lock: _Lock = msgspec.field(default_factory=_Lock)


class _Repository(msgspec.Struct):
    key: int
    status: _Status


class Stanza(msgspec.Struct):
    """One stanza as the tool tells of it."""

    name: str
    status: _Status
    archive: list[_ArchiveOf] = []
    backup: list[_Backup] = []
    db: list[_KnownServer] = []
    repo: list[_Repository] = []

    def system_of(self, database: int, repository: int) -> str:
        """The system identifier of a server that the stanza has known."""
        found = (one for one in self.db if one.id == database and one.repo_key == repository)
        return next((str(one.system_id) for one in found), "")

    def archives(self, repository: int) -> dict[str, str]:
        """System identifiers by the directories of their log; the newest server last."""
        own = sorted((one.database.id, one.id) for one in self.archive if one.database.repo_key == repository)
        return {name: self.system_of(database, repository) for database, name in own}

    def located(self, repository: int) -> list[tuple[str, str]]:
        """Names of segments, each with a position in it: they tell how large a segment is."""
        own = [one for one in self.backup if one.database.repo_key == repository]
        ends = [(one.archive.start, one.lsn.start) for one in own] + [(one.archive.stop, one.lsn.stop) for one in own]
        return [(name, lsn) for name, lsn in ends if name and lsn]

    @property
    def progress(self) -> tuple[int, int | None] | None:
        """Bytes copied and in all by the backup that runs now; None where none runs or the version does not say."""
        held = self.status.lock.backup
        return (held.size_complete, held.size) if held.held and held.size_complete is not None else None


_CONTROL = re.compile(r"[\x00-\x1f]")
_STANZAS = msgspec.json.Decoder(list[Stanza])


def parse_information(text: bytes, stanza: str) -> Stanza:
    """The stanza of that name. Raises: ProgramFailed where the text is something else.

    Messages stand in it as they came (2.45): with line ends, and with bytes of a file that a wrong passphrase opened.
    """
    try:
        clean = _CONTROL.sub(" ", text.decode(errors="replace")).encode()
        found = next((one for one in _STANZAS.decode(clean) if one.name == stanza), None)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProgramFailed(
            f"pgbackrest info says something else than JSON of stanzas: {error}",
            hint="pgBackRest 2.32 and later are understood: pgbackrest version",
        ) from error
    if found is None:
        raise ProgramFailed(f"pgbackrest info does not tell of stanza {stanza}", hint="pgbackrest info shows the stanzas")
    return found


def sets_of(stanza: Stanza, repository: int) -> tuple[ForeignSet, ...]:
    """The sets of one repository, oldest first."""
    own: Sequence[_Backup] = [one for one in stanza.backup if one.database.repo_key == repository]
    return tuple(_set(one, stanza, repository) for one in sorted(own, key=lambda one: (one.timestamp.stop, one.label)))


def _set(backup: _Backup, stanza: Stanza, repository: int) -> ForeignSet:
    kind = _KINDS.get(backup.type)
    if kind is None:
        raise ProgramFailed(
            f"pgbackrest info tells of a backup of unknown type {backup.type!r}", hint="tell us: a new version?"
        )
    version = next((one.version for one in stanza.db if one.id == backup.database.id and one.repo_key == repository), None)
    try:
        start = _position(backup.archive.start, backup.lsn.start)
        stop = _position(backup.archive.stop, backup.lsn.stop)
    except ValueError as error:
        raise ProgramFailed(f"pgbackrest info tells of a position in backup {backup.label} that is none: {error}") from error
    return ForeignSet(
        label=backup.label,
        kind=kind,
        parent=backup.prior,
        system_id=stanza.system_of(backup.database.id, repository),
        start=start,
        stop=stop,
        started_at=moment_of_epoch(backup.timestamp.start, who="pgbackrest info"),
        stopped_at=moment_of_epoch(backup.timestamp.stop, who="pgbackrest info"),
        bytes_source=backup.info.delta,  # this set alone: those that it needs count for themselves
        bytes_stored=backup.info.repository.delta,
        error="page checksums did not match when it was made" if backup.error else None,
        version_text=version,
    )


def _position(segment: str | None, lsn: str | None) -> LogPosition | None:
    return position(int(segment[:8], 16), lsn) if segment and lsn else None
