"""One server of a Barman installation on this machine."""

import asyncio
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from dbre.core.errors import Unsupported, UsageError
from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import counted, printable, quoted
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import CopyFault, CopyKind, LogKind, Problem, RecoveryTarget, Tool, Verified
from dbre.ports.backup.repository import ForeignLog, ForeignSet, ForeignSwitch, RepositoryFacts
from dbre.tools.barman.catalogue import ListedBackup, Places, Shown, ends, foreign_set, listed, places, shown
from dbre.tools.barman.checking import check_problems
from dbre.tools.barman.program import Barman
from dbre.tools.barman.wal_directory import WalFile, find_wal, wal_files
from dbre.tools.tablespaces import IN_PLACE, tablespaces_at_home
from dbre.tools.wal_archive import SEGMENT_BYTES, log_file, segment_bytes, switches_to

__all__ = ["BarmanRepository"]

_LOOK_SECONDS = 900.0
_FETCH_SECONDS = 600.0
_LONG_SECONDS = 7 * 86_400.0  # the operation above has the real limit
_PROGRESS_SECONDS = 5.0
_AT_ONCE = 4  # every call of barman is a Python that starts
_OBSOLETE = "OBSOLETE"
_SMALLEST_SEGMENT = 2**20
_LABEL = re.compile(r"\d{8}T\d{6}")


class BarmanRepository:
    """A ``ForeignRepository``. Reads and runs as ``account``, which must be Barman's own or may read what that owns."""

    tool = "barman"
    engine = "postgresql"
    is_proved = True
    recovery_settings = (IN_PLACE,)

    def __init__(self, *, account: Account, config: Path | None, server: str) -> None:
        if server.startswith("-"):
            raise UsageError(f"{quoted(server, limit=100)} is no name of a server", hint="barman list-servers")
        self._program = Barman(account=account, config=config, server=server)
        self._where: Places | None = None

    async def look(self) -> RepositoryFacts:
        """Sets from ``list-backups`` and ``show-backup``, the log from the directories, what ``check`` says as problems."""
        version = await self._program.version()
        where = await self._places()
        backups = await self._shown()
        system_id = await asyncio.to_thread(_system_id, where)
        files = await asyncio.to_thread(wal_files, where)
        segment = segment_bytes([pair for one in backups for pair in ends(one)])
        logs = [
            ForeignLog(system_id=system_id, file=file, stored_at=one.stored_at)
            for one in files
            if (file := log_file(one.name, segment=segment or SEGMENT_BYTES, size=one.size)) is not None
        ]
        sets = [found for one in backups if (found := foreign_set(one, system_id=system_id)) is not None]
        return RepositoryFacts(
            tool=Tool(name=self.tool, version=version, path=None, problem=None),
            sets=tuple(sorted(sets, key=lambda one: (one.stopped_at, one.label))),
            logs=tuple(sorted(logs, key=lambda one: (one.file.timeline, one.file.start, one.file.name))),
            problems=(*_unfinished(backups), *await self._checked(), *_foreign_sizes(files, segment)),
            switches=await self._switches(files, system_id),
            segment_bytes=segment,
        )

    async def backup(self, kind: CopyKind, progress: CopyProgress) -> ForeignSet:
        """Let Barman copy and wait until it has the log that makes the copy consistent."""
        if kind is not CopyKind.FULL:
            raise Unsupported(
                f"Barman makes full copies by this adapter, not {kind} ones",
                hint="reuse_backup in Barman's configuration makes its full copies cheap",
            )
        running = asyncio.ensure_future(
            self._program.run("backup", "--wait", self._program.server, timeout_seconds=_LONG_SECONDS)
        )
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=_PROGRESS_SECONDS)
                await progress(0, None)
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait({running})
        label = str(running.result().data.get("backup_id", ""))
        system_id = await asyncio.to_thread(_system_id, await self._places())
        made = foreign_set(await self._show(_checked_label(label)), system_id=system_id)
        if made is None:
            raise ProgramFailed(
                f"barman backup of {self._program.where} ended with 0, and the set {label} was not copied",
                hint="barman show-backup tells its status",
            )
        return made

    async def verify(self, label: str | None = None) -> Verified:
        """What ``check-backup`` (is its log there) and ``verify-backup`` (are its files what was copied) say of sets."""
        labels = [_checked_label(label)] if label is not None else [one.backup_id for one in await self._listed()]
        faults, seconds = [], 0.0
        for one in labels:
            for command in ("check-backup", "verify-backup"):
                answer = await self._program.run(
                    command, self._program.server, one, timeout_seconds=_LONG_SECONDS, may_fail=True
                )
                seconds += answer.seconds
                if answer.status != 0 or answer.complaints:
                    said = answer.complaints or f"it ended with {answer.status}"
                    faults.append(CopyFault(rule="tool_says", subject=one, detail=f"barman {command}: {said}"))
        return Verified(files=len(labels), bytes=0, seconds=seconds, faults=tuple(faults))

    async def restore(self, label: str, directory: Path, *, target: RecoveryTarget) -> None:  # noqa: ARG002 -- who boots it sets the target
        """Restore the files of a set into an empty directory, without log; who boots it says what recovery is told.

        Tablespaces go into the directory, never to where the source has them.
        """
        backup = await self._show(_checked_label(label))
        with tablespaces_at_home(directory, self._program.account) as room:
            mapped = [word for one in backup.tablespaces for word in ("--tablespace", f"{one.name}:{room / one.name}")]
            await self._program.run(
                "recover", "--get-wal", *mapped, self._program.server, label, str(directory), timeout_seconds=_LONG_SECONDS
            )

    async def fetch(self, name: str, into: Path, *, system_id: str | None = None) -> bool:  # noqa: ARG002 -- a server of Barman has one
        """One log file, unpacked by Barman. False only where none of its directories has one of that name.

        Raises: CopyDamaged where what Barman gives has no size that a segment can have.
        """
        if await asyncio.to_thread(find_wal, await self._places(), name) is None:
            return False
        partial = into.with_name(f".{into.name}.{secrets.token_hex(4)}")
        try:
            ended = await self._program.plain(
                "get-wal", self._program.server, name, timeout_seconds=_FETCH_SECONDS, into=partial
            )
            if ended.status != 0:
                raise ProgramFailed(
                    f"barman get-wal {name} of {self._program.where} ended with {ended.status}: {ended.said}",
                    hint="the file is there and cannot be read: recovery cannot pass it",
                )
            size = (await asyncio.to_thread(partial.stat)).st_size
            if not name.endswith(".history") and (size < _SMALLEST_SEGMENT or size & (size - 1)):
                raise CopyDamaged(
                    f"barman get-wal {name} of {self._program.where} gives {size} bytes, which no segment of the log has",
                    hint="recovery cannot pass it: look for another copy, and make a new full backup now",
                )
            await asyncio.to_thread(partial.replace, into)
        finally:
            await asyncio.to_thread(partial.unlink, missing_ok=True)
        return True

    async def expire(self, *, dry_run: bool) -> Sequence[str]:
        """The sets that Barman's own retention calls obsolete."""
        gone = [one.backup_id for one in await self._listed() if one.retention_status.upper() == _OBSOLETE]
        for label in () if dry_run else gone:
            await self._program.run("delete", self._program.server, label, timeout_seconds=_LONG_SECONDS)
        return gone

    async def _places(self) -> Places:
        """Asked once: every answer takes a second, tries to reach the source, and is the same."""
        if self._where is None:
            answer = await self._program.run("show-servers", self._program.server, timeout_seconds=_LOOK_SECONDS)
            self._where = places(answer.data, self._program.server)
        return self._where

    async def _listed(self) -> list[ListedBackup]:
        answer = await self._program.run("list-backups", self._program.server, timeout_seconds=_LOOK_SECONDS)
        return listed(answer.data, self._program.server)

    async def _show(self, label: str) -> Shown:
        answer = await self._program.run("show-backup", self._program.server, label, timeout_seconds=_LOOK_SECONDS)
        return shown(answer.data, self._program.server)

    async def _shown(self) -> list[Shown]:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(label: str) -> Shown:
            async with limit:
                return await self._show(label)

        return list(await asyncio.gather(*(one(found.backup_id) for found in await self._listed())))

    async def _checked(self) -> tuple[Problem, ...]:
        answer = await self._program.run("check", self._program.server, timeout_seconds=_LOOK_SECONDS, may_fail=True)
        return tuple(check_problems(answer, self._program.server))

    async def _switches(self, files: Sequence[WalFile], system_id: str) -> tuple[ForeignSwitch, ...]:
        found: dict[int, ForeignSwitch] = {}
        for one in files:
            file = log_file(one.name, segment=SEGMENT_BYTES)
            if file is None or file.kind is not LogKind.HISTORY:
                continue
            text = await asyncio.to_thread(one.read)
            found |= {switch.timeline: switch for switch in switches_to(file.timeline, text, system_id=system_id)}
        return tuple(found[timeline] for timeline in sorted(found))


def _checked_label(label: str) -> str:
    """It becomes a word of a command line: nothing that begins like an option may."""
    if _LABEL.fullmatch(label) is None:
        raise UsageError(
            f"{quoted(label, limit=100)} is no backup of Barman", hint="such as 20261121T140820: barman list-backups"
        )
    return label


def _unfinished(backups: Sequence[Shown]) -> Iterator[Problem]:
    for one in backups:
        if one.base_backup_information is None:
            reason = printable(one.error or "no reason is told", limit=300)
            yield Problem(
                rule="backup.tool_says",
                message=f"backup {one.backup_id} is {printable(one.status, limit=40)}: {reason}",
                hint="barman show-backup; barman delete removes what failed",
                is_blocking=False,
            )


def _foreign_sizes(files: Sequence[WalFile], segment: int | None) -> Iterator[Problem]:
    if segment is None:
        yield Problem(
            rule="backup.segment_size_unknown",
            message=f"the names of {counted(len(files), 'log file')} and the positions of the sets fit no size of segment",
            hint="tell us, with the output of barman -f json show-backup",
            is_blocking=True,
        )


def _system_id(where: Places) -> str:
    """Barman writes down whose backups these are with the first one; before that it knows nobody."""
    try:
        text = (where.backup_directory / "identity.json").read_bytes()
        return str(msgspec.json.decode(text, type=dict[str, str]).get("systemid", ""))
    except FileNotFoundError:
        return ""
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        raise ProgramFailed(f"{where.backup_directory / 'identity.json'} cannot be read: {error}") from error
