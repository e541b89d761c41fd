"""Sets from the sessions in which RMAN copied data files: which are whole, on which they stand, from and to which SCN.

Sources: Oracle Database Reference 19c, V$BACKUP_DATAFILE (INCREMENTAL_CHANGE#: all changes since that SCN are in the
backup; ABSOLUTE_FUZZY_CHANGE#: the highest SCN in any block); Backup and Recovery User's Guide 19c, "Incremental Backups".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import counted, printable
from dbre.ports.backup.model import CopyKind, LogPosition, Problem
from dbre.ports.backup.repository import ForeignSet
from dbre.tools.rman.csv_rows import moment, number

__all__ = ["FileCopy", "Session", "label_of", "read_sessions", "session_problems", "sets_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCopy:
    """One data file as one session copied it."""

    file: int
    level: int | None  # None: a full backup, on which no level 1 can stand
    since: int | None  # INCREMENTAL_CHANGE#
    checkpoint: int
    fuzzy: int  # what recovery must pass; the checkpoint where the file was quiet
    corrupt: int | None
    bytes_source: int | None
    bytes_stored: int | None
    bs_key: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What one session of RMAN copied, as far as all its pieces are there."""

    recid: int
    stamp: int
    tag: str
    incarnation: int
    started_at: datetime
    stopped_at: datetime
    files: Mapping[int, FileCopy]
    lost_sets: int  # backup sets of which a piece is not available
    bs_keys: frozenset[int]

    @property
    def level(self) -> int | None:
        """0 or 1; None for full backups."""
        levels = [one.level for one in self.files.values()]
        return 1 if 1 in levels else None if None in levels else 0

    @property
    def end(self) -> int:
        """The SCN up to which redo is needed before the files agree."""
        return max(one.fuzzy for one in self.files.values())


def read_sessions(rows: Iterable[dict[str, str]], incarnations: Mapping[int, int]) -> tuple[Session, ...]:
    """The sessions, oldest first. Raises: ProgramFailed."""
    grouped: dict[tuple[int, int, int], list[dict[str, str]]] = {}
    for row in rows:
        resetlogs = number(row, "resetlogs_change")
        if number(row, "file_number") in (0, None) or resetlogs is None or resetlogs not in incarnations:
            continue  # a control file alone, or of an incarnation that is forgotten
        key = (number(row, "session_stamp") or 0, number(row, "session_recid") or 0, incarnations[resetlogs])
        grouped.setdefault(key, []).append(row)
    return tuple(_session(key, grouped[key]) for key in sorted(grouped))


def _session(key: tuple[int, int, int], rows: Sequence[dict[str, str]]) -> Session:
    there = [row for row in rows if (number(row, "pieces_available") or 0) >= (number(row, "pieces") or 1)]
    lost = {number(row, "bs_key") for row in rows if row not in there}
    starts = [one for row in rows if (one := moment(row, "started_at")) is not None]
    stops = [one for row in rows if (one := moment(row, "completed_at")) is not None]
    if not starts or not stops:
        raise ProgramFailed(f"no backup set of session {key[1]} has a start and a completion time")
    files: dict[int, FileCopy] = {}
    for row in there:
        copy = _copy(row)
        if copy.file not in files or copy.checkpoint > files[copy.file].checkpoint:
            files[copy.file] = copy
    return Session(
        recid=key[1],
        stamp=key[0],
        tag=max(row["tag"] for row in rows),
        incarnation=key[2],
        started_at=min(starts),
        stopped_at=max(stops),
        files=files,
        lost_sets=len(lost),
        bs_keys=frozenset(found for row in rows if (found := number(row, "bs_key")) is not None),
    )


def _copy(row: dict[str, str]) -> FileCopy:
    file, checkpoint = number(row, "file_number"), number(row, "checkpoint_change")
    if file is None or checkpoint is None:
        raise ProgramFailed("a row of V$BACKUP_DATAFILE has no file number or no checkpoint")
    return FileCopy(
        file=file,
        level=number(row, "incremental_level"),
        since=number(row, "incremental_change"),
        checkpoint=checkpoint,
        fuzzy=max(checkpoint, number(row, "fuzzy_change") or 0),
        corrupt=number(row, "corrupt_blocks"),
        bytes_source=number(row, "bytes_source"),
        bytes_stored=number(row, "bytes_stored"),
        bs_key=number(row, "bs_key") or 0,
    )


def sets_of(
    sessions: Sequence[Session],
    *,
    system_id: str,
    datafiles: Mapping[int, int],
    version: str | None,
    parents: Mapping[int, int],
) -> tuple[ForeignSet, ...]:
    """The sessions that copied every data file of their time; ``datafiles`` are creation SCNs by file number.

    ``parents`` are the incarnations from which others began: a level 1 may stand on a level 0 of an ancestor.

    A level 1 names what it stands on; where that is gone it names the SCN instead, so that it is known to be unusable.
    """
    whole = [one for one in sessions if not _missing(one, datafiles)]
    found = []
    for one in whole:
        line = _ancestors(one.incarnation, parents)
        bases = [before for before in whole if before is not one and before.incarnation in line and _carries(before, one)]
        base = max(bases, key=lambda before: before.end, default=None)
        found.append(_set(one, label_of(one, sessions), _parent(one, base, sessions), system_id, version))
    return tuple(found)


def _ancestors(incarnation: int, parents: Mapping[int, int]) -> set[int]:
    found = {incarnation}
    while (incarnation := parents.get(incarnation, 0)) and incarnation not in found:
        found.add(incarnation)
    return found


def label_of(session: Session, sessions: Iterable[Session]) -> str:
    """Its tag where no other session has the same one, else with the number of the session."""
    tag = session.tag or "untagged"
    alone = sum(1 for one in sessions if (one.tag or "untagged") == tag) == 1
    return tag if alone and session.tag else f"{tag}@{session.stamp}.{session.recid}"


def _set(one: Session, label: str, parent: str | None, system_id: str, version: str | None) -> ForeignSet:
    start, stop = min(file.checkpoint for file in one.files.values()), one.end
    corrupt = sum(file.corrupt or 0 for file in one.files.values())
    return ForeignSet(
        label=label,
        kind=CopyKind.INCREMENTAL if one.level == 1 else CopyKind.FULL,
        parent=parent,
        system_id=system_id,
        start=LogPosition(one.incarnation, start, str(start)),
        stop=LogPosition(one.incarnation, stop, str(stop)),
        started_at=one.started_at,
        stopped_at=one.stopped_at,
        bytes_source=_sum(file.bytes_source for file in one.files.values()),
        bytes_stored=_sum(file.bytes_stored for file in one.files.values()),
        error=f"{counted(corrupt, 'corrupt block')} when it was made" if corrupt else None,
        version_text=version,
    )


def _sum(values: Iterable[int | None]) -> int | None:
    found = list(values)
    return None if None in found else sum(one for one in found if one is not None)


def _parent(one: Session, base: Session | None, sessions: Sequence[Session]) -> str | None:
    if one.level != 1:
        return None
    if base is not None:
        return label_of(base, sessions)
    since = min((file.since or 0 for file in one.files.values()), default=0)
    return f"a level 0 or 1 with every change up to SCN {since}"


def _carries(before: Session, one: Session) -> bool:
    """Whether ``before`` has every file that ``one`` needs, at an SCN between its beginning and its own."""
    if before.level is None:
        return False
    for number_, file in one.files.items():
        if file.level != 1:
            continue  # RMAN copies a file whole where it had no level 0 of it
        base = before.files.get(number_)
        if base is None or base.checkpoint < (file.since or 0) or base.checkpoint >= file.checkpoint:
            return False
    return True


def _missing(one: Session, datafiles: Mapping[int, int]) -> set[int]:
    """Data files that were there when the session ended and that it has not."""
    return {file for file, created in datafiles.items() if file not in one.files and (not one.files or created < one.end)}


def session_problems(sessions: Sequence[Session], datafiles: Mapping[int, int]) -> Iterator[Problem]:
    """Sessions that are no set."""
    for one in sessions:
        missing = _missing(one, datafiles)
        tag = printable(one.tag or f"session {one.recid}", limit=100)
        if one.lost_sets:
            yield Problem(
                rule="backup.pieces_missing",
                message=f"{counted(one.lost_sets, 'backup set')} of {tag} {'has' if one.lost_sets == 1 else 'have'} pieces "
                "that are not available",
                hint="CROSSCHECK BACKUP tells which; what needs them cannot be restored",
                is_blocking=False,
            )
        elif missing:
            names = ", ".join(map(str, sorted(missing)[:20]))
            yield Problem(
                rule="backup.partial_set",
                message=f"{tag} has {len(one.files)} of {len(datafiles)} data files: without {names}",
                hint="dbre counts on whole backups only: BACKUP INCREMENTAL LEVEL 0 DATABASE",
                is_blocking=False,
            )
