"""The backups of one Oracle database, as its control file knows them. Written from the manuals, proved on no server yet."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dbre.core.errors import Refused, Unsupported, UsageError
from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import counted, one_line, printable, quoted
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.model import CopyFault, CopyKind, Problem, RecoveryTarget, Tool, Verified
from dbre.ports.backup.repository import ForeignSet, ForeignSwitch, RepositoryFacts
from dbre.tools.rman import commands
from dbre.tools.rman.csv_rows import number
from dbre.tools.rman.output import (
    Preview,
    crosschecked_expired,
    error_stack,
    is_finished,
    parse_obsolete,
    parse_preview,
    parse_summary,
    parse_validation,
)
from dbre.tools.rman.program import open_client
from dbre.tools.rman.redo import foreign_logs, read_redo
from dbre.tools.rman.sessions import Session, label_of, read_sessions, session_problems, sets_of

__all__ = ["RmanRepository"]

_LOOK_SECONDS = 900.0
_LONG_SECONDS = 7 * 86_400.0  # the operation above has the real limit
_PROGRESS_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the control file says, read once."""

    database: Mapping[str, str]
    incarnations: Mapping[int, int]  # numbers by RESETLOGS_CHANGE#
    switches: tuple[ForeignSwitch, ...]
    datafiles: Mapping[int, int]
    sessions: tuple[Session, ...]

    @property
    def has_level_0(self) -> bool:
        """Whether a level 1 can stand on anything: on a full backup it cannot."""
        usable = {one.label for one in self.sets}
        return any(one.level == 0 and label_of(one, self.sessions) in usable for one in self.sessions)

    @property
    def sets(self) -> tuple[ForeignSet, ...]:
        return sets_of(
            self.sessions,
            system_id=self.database["dbid"],
            datafiles=self.datafiles,
            version=self.database.get("version") or None,
            parents={one.timeline: one.parent for one in self.switches},
        )


class RmanRepository:
    """A ``ForeignRepository``. ``database`` is a net service whose password is in a wallet (TNS_ADMIN), else a SID."""

    tool = "rman"
    engine = "oracle"
    is_proved = False
    recovery_settings = ()

    def __init__(self, *, account: Account, config: Path | None, database: str) -> None:
        self._client = open_client(account=account, config=config, database=database)

    async def look(self) -> RepositoryFacts:
        """Sets and redo from the control file's views; holes are ours to compute, thread by thread."""
        version = await self._client.version()
        known = await self._known()
        system_id = known.database["dbid"]
        redo = read_redo(await self._rows("archived_logs"), dict(known.incarnations))
        threads = [found for row in await self._rows("threads") if (found := number(row, "thread")) is not None]
        listed = await self._text(*commands.SUMMARY)
        return RepositoryFacts(
            tool=Tool(name=self.tool, version=version, path=None, problem=None),
            sets=known.sets,
            logs=foreign_logs(redo, system_id=system_id, threads=threads),
            problems=(
                *_database_problems(known.database),
                *session_problems(known.sessions, known.datafiles),
                *_listed_problems(listed),
            ),
            switches=known.switches,
        )

    async def backup(self, kind: CopyKind, progress: CopyProgress) -> ForeignSet:
        """A level 0 or 1 with its redo. Refused without a control file autobackup, and a level 1 without a level 0.

        RMAN itself would quietly make a level 0 of whatever has none.
        """
        commands.level_of(kind)
        known = await self._known()
        if known.database.get("autobackup") != "ON":
            raise Refused(
                f"control file autobackup of {self._client.database} is not on: a lost control file would lose the backups",
                hint="CONFIGURE CONTROLFILE AUTOBACKUP ON; in RMAN",
            )
        if kind is not CopyKind.FULL and not known.has_level_0:
            raise Refused(
                f"{self._client.database} has no whole level 0 on which a level 1 could stand", hint="make a full one"
            )
        tag = datetime.now(UTC).strftime("DBRE_%Y%m%dT%H%M%S")
        running = asyncio.ensure_future(self._text(*commands.backup(kind, tag), timeout_seconds=_LONG_SECONDS))
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=_PROGRESS_SECONDS)
                await progress(0, None)
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait({running})
        running.result()
        made = next((one for one in (await self._known()).sets if one.label.partition("@")[0] == tag), None)
        if made is None:
            raise ProgramFailed(f"RMAN ended well, and no whole backup has the tag {tag}", hint="LIST BACKUP SUMMARY in RMAN")
        return made

    async def verify(self, label: str | None = None) -> Verified:
        """RMAN reads the backups of the data files, the redo behind them, control file and parameters; and the source.

        With ``label``, up to where that set is consistent, and the source is left alone.
        """
        began = asyncio.get_running_loop().time()
        chosen = await self._set(label) if label is not None else None
        start = chosen.start.value if chosen and chosen.start else None
        until = chosen.stop.value + 1 if chosen and chosen.stop else None
        files = 0
        faults: list[CopyFault] = []
        for command in commands.validations(start=start, until=until, reads_source=chosen is None):
            ended = await self._client.rman(command, timeout_seconds=_LONG_SECONDS)
            looked, wrong = parse_validation(ended.stdout.decode(errors="replace"), command=command.rstrip(";"))
            files, faults = files + looked, faults + list(wrong)
        seconds = asyncio.get_running_loop().time() - began
        return Verified(files=files, bytes=0, seconds=seconds, faults=tuple(faults))

    async def preview(self, label: str | None = None) -> Preview:
        """From and beyond which SCN a restore would need redo, as RMAN says. Raises: ProgramFailed where it lacks something."""
        chosen = await self._set(label) if label is not None else None
        until = chosen.stop.value + 1 if chosen and chosen.stop else None
        return parse_preview(await self._text(*commands.preview(until)))

    async def restore(self, label: str, directory: Path, *, target: RecoveryTarget) -> None:  # noqa: ARG002
        """Not done: RMAN restores into an instance, and the one at hand is the source."""
        raise Unsupported(
            f"dbre does not restore {quoted(label, limit=100)} with RMAN: that needs an auxiliary instance",
            hint="start one NOMOUNT, then in RMAN: DUPLICATE DATABASE ... BACKUP LOCATION ... NOFILENAMECHECK",
        )

    async def fetch(self, name: str, into: Path, *, system_id: str | None = None) -> bool:  # noqa: ARG002
        """Not done: only an instance of Oracle reads its redo."""
        raise Unsupported(
            f"{quoted(name, limit=100)} is not fetched: nothing in dbre reads the redo of Oracle",
            hint="dbre backup inspect --verify lets RMAN read it: RESTORE ARCHIVELOG ... VALIDATE",
        )

    async def expire(self, *, dry_run: bool) -> Sequence[str]:
        """What RMAN's retention policy no longer keeps. Before anything is deleted: a crosscheck, then a validation.

        Raises: Refused where what would remain cannot be restored.
        """
        if not dry_run:
            lost = crosschecked_expired(await self._text(*commands.CROSSCHECK, timeout_seconds=_LONG_SECONDS))
            verified = await self.verify()
            if not verified.is_good:
                first = verified.faults[0]
                lost_text = f"{counted(lost, 'piece')} did not answer a crosscheck"
                raise Refused(
                    f"nothing is deleted: RMAN found {counted(len(verified.faults), 'fault')} in what would remain "
                    f"({first.subject}: {one_line(first.detail, limit=200)}); {lost_text}",
                    hint="make a full backup first",
                )
        known = await self._known()
        listed = parse_obsolete(await self._text(*(commands.REPORT_OBSOLETE if dry_run else commands.DELETE_OBSOLETE)))
        keys = {one.key for one in listed if one.type == "Backup Set"}
        return [label_of(one, known.sessions) for one in known.sessions if one.bs_keys & keys]

    async def _set(self, label: str) -> ForeignSet:
        found = next((one for one in (await self._known()).sets if one.label == label), None)
        if found is None:
            raise UsageError(f"RMAN has no whole backup {quoted(label, limit=100)}", hint="dbre backup inspect rman shows them")
        return found

    async def _known(self) -> _Known:
        described = await self._rows("database")
        if len(described) != 1 or not described[0].get("dbid"):
            raise ProgramFailed("V$DATABASE has no row: is the database mounted?", hint="STARTUP MOUNT")
        rows = await self._rows("incarnations")
        incarnations = {number(row, "resetlogs_change") or 0: number(row, "incarnation") or 0 for row in rows}
        return _Known(
            database=described[0],
            incarnations=incarnations,
            switches=tuple(_switches(rows, described[0]["dbid"])),
            datafiles={
                number(row, "file_number") or 0: number(row, "creation_change") or 0 for row in await self._rows("datafiles")
            },
            sessions=read_sessions(await self._rows("datafile_backups"), incarnations),
        )

    async def _rows(self, query: str) -> list[dict[str, str]]:
        return await self._client.rows(query, timeout_seconds=_LOOK_SECONDS)

    async def _text(self, *lines: str, timeout_seconds: float = _LOOK_SECONDS) -> str:
        ended = await self._client.rman(*lines, timeout_seconds=timeout_seconds)
        text = ended.stdout.decode(errors="replace")
        stack = error_stack(text)
        if stack or ended.status != 0 or not is_finished(text):
            said = "; ".join(stack) or one_line(text[-600:], limit=600) or ended.said or "nothing"
            raise ProgramFailed(
                f"rman ended with {ended.status} at {lines[0]} {said}",
                hint=f"run it by hand as {self._client.account.name}",
                context={"program": "rman", "exit_status": ended.status},
            )
        return text


def _switches(rows: Sequence[dict[str, str]], system_id: str) -> Iterator[ForeignSwitch]:
    known = {number(row, "incarnation") for row in rows}
    for row in rows:
        own, prior, at = number(row, "incarnation"), number(row, "prior"), number(row, "resetlogs_change")
        if own is not None and at is not None and prior and prior in known:
            yield ForeignSwitch(system_id=system_id, timeline=own, parent=prior, at=at)


def _database_problems(database: Mapping[str, str]) -> Iterator[Problem]:
    name = printable(database.get("name", ""), limit=60)
    if database.get("log_mode") == "NOARCHIVELOG":
        yield Problem(
            rule="backup.no_archived_log",
            message=f"database {name} is in NOARCHIVELOG mode: everything since the last cold backup is lost with it",
            hint="ALTER DATABASE ARCHIVELOG while mounted, then a level 0",
            is_blocking=True,
        )
    if database.get("autobackup") != "ON":
        yield Problem(
            rule="backup.no_control_file_autobackup",
            message=f"control file autobackup of {name} is not configured as ON",
            hint="CONFIGURE CONTROLFILE AUTOBACKUP ON",
            is_blocking=False,
        )
    corrupt = database.get("corrupt_ranges", "")
    if corrupt not in ("", "0"):
        yield Problem(
            rule="backup.source_damaged",
            message=f"V$DATABASE_BLOCK_CORRUPTION of {name} has {printable(corrupt, limit=20)} rows",
            hint="RECOVER CORRUPTION LIST in RMAN, then VALIDATE DATABASE",
            is_blocking=False,
        )


def _listed_problems(text: str) -> Iterator[Problem]:
    words = {"U": "unavailable", "X": "expired"}
    for one in parse_summary(text):
        if one.status in words:
            tag = printable(one.tag, limit=60) if one.tag else "no tag"
            yield Problem(
                rule="backup.tool_says",
                message=f"LIST BACKUP calls backup set {one.key} ({tag}) {words[one.status]}",
                hint="CROSSCHECK BACKUP; what needs it cannot be restored",
                is_blocking=False,
            )
