"""Copies that ``pg_basebackup`` wrote for others, as a repository: read by dbre, restored by PostgreSQL's programs."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dbre.core.errors import Unsupported, UsageError
from dbre.core.text import printable, quoted
from dbre.ports.backup.engine import BackupPort, CopyProgress
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import CopyFault, CopyKind, Problem, RecoveryTarget, Tool, Verified
from dbre.ports.backup.repository import ForeignSet, RepositoryFacts
from dbre.tools.pg_basebackup.copies import Copy, chain_of, copy_directories, find_copies, parent_label
from dbre.tools.pg_basebackup.log_directory import FoundLog, conflicts, find_log, foreign_logs, only_one, switches, unreadable
from dbre.tools.tablespaces import IN_PLACE

__all__ = ["BaseBackupDirectory"]

_LOG = "pg_wal"


class BaseBackupDirectory:
    """A ``ForeignRepository``. ``directory`` is one copy, or holds copies and directories of log files."""

    tool = "pg_basebackup"
    engine = "postgresql"
    is_proved = True
    recovery_settings = (IN_PLACE,)

    def __init__(self, *, port: BackupPort, config: Path | None, directory: Path) -> None:
        if not directory.is_absolute():
            raise UsageError(
                f"{quoted(str(directory), limit=200)} is no absolute path",
                hint="--stanza /DIRECTORY of a copy, or of several with their log",
            )
        if config is not None:
            raise UsageError("pg_basebackup has no configuration file", hint="leave out --config")
        self._port = port
        self._directory = directory
        self._of_log: list[Path] = []

    async def look(self) -> RepositoryFacts:
        """Copies by their label and manifest, log by its first pages; no server is asked."""
        copies, problems = await find_copies(self._directory, self._port)
        return await asyncio.to_thread(self._facts, copies, problems)

    def _facts(self, copies: Sequence[Copy], problems: Sequence[Problem]) -> RepositoryFacts:
        logs = self._logs()
        systems = [one.facts.system_id for one in copies]
        return RepositoryFacts(
            tool=Tool(name=self.tool, version=None, path=None, problem=None),
            sets=tuple(_set(one, copies) for one in copies),
            logs=tuple(foreign_logs(logs, systems)),
            problems=(*problems, *conflicts(logs), *unreadable(self._of_log), *_nothing_here(copies)),
            switches=switches(logs, systems),
            segment_bytes=next((one.segment_bytes for one in logs if one.segment_bytes), None),
        )

    async def backup(self, kind: CopyKind, progress: CopyProgress) -> ForeignSet:  # noqa: ARG002
        """Not done: ``dbre backup take`` copies with the same program, and keeps what it copied."""
        raise Unsupported("a directory of others is only read", hint="dbre backup take CLUSTER")

    async def verify(self, label: str | None = None) -> Verified:
        """Every file of every copy compared with its manifest."""
        copies, problems = await find_copies(self._directory, self._port)
        found = [(one.label, await self._port.verify(one.path)) for one in copies if label in (None, one.label)]
        faults = [
            replace(fault, subject=f"{name}/{fault.subject}") for name, verified in found for fault in verified.faults
        ] + [CopyFault(rule="manifest", subject="", detail=one.message) for one in problems if label is None]
        return Verified(
            files=sum(one.files for _, one in found),
            bytes=sum(one.bytes for _, one in found),
            seconds=sum(one.seconds for _, one in found),
            faults=tuple(faults),
            remarks=tuple(f"{printable(name, limit=100)}: {remark}" for name, one in found for remark in one.remarks),
        )

    async def restore(self, label: str, directory: Path, *, target: RecoveryTarget) -> None:  # noqa: ARG002 -- who boots it sets the target
        """Every member verified, then combined into ``directory``: what is made of a damaged member verifies.

        Raises: CopyDamaged naming the first fault.
        """
        copies, _ = await find_copies(self._directory, self._port)
        chain = chain_of(copies, label)
        for one in chain:
            verified = await self._port.verify(one.path)
            if verified.faults:
                first = verified.faults[0]
                raise CopyDamaged(
                    f"copy {printable(one.label, limit=100)} is damaged: {printable(first.subject, limit=200)}: "
                    f"{first.detail} ({first.rule})"
                    + (f", and {len(verified.faults) - 1} more" if verified.faults[1:] else ""),
                    hint="look for another copy, or make a new full backup now",
                )
        await self._port.assemble([one.path for one in chain], directory, _unwatched)

    async def fetch(self, name: str, into: Path, *, system_id: str | None = None) -> bool:
        """One log file. Raises: LogConflict where two of that name differ."""
        return await asyncio.to_thread(self._fetch, name, into, system_id)

    def _fetch(self, name: str, into: Path, system_id: str | None) -> bool:
        path = only_one(self._logs(name), name, system_id=system_id)
        if path is None:
            return False
        partial = into.with_name(f".{into.name}.partial")
        shutil.copyfile(path, partial, follow_symlinks=False)
        partial.replace(into)
        return True

    async def expire(self, *, dry_run: bool) -> Sequence[str]:  # noqa: ARG002
        """Not done: pg_basebackup keeps no rule for how long."""
        raise Unsupported("pg_basebackup has no retention of its own", hint="remove directories by the rule that you have")

    def _logs(self, name: str | None = None) -> tuple[FoundLog, ...]:
        if name is None or not self._of_log:  # thousands of files are fetched by name: nothing is listed for each
            self._of_log = self._found_of_log()
        return find_log(self._of_log, name)

    def _found_of_log(self) -> list[Path]:
        """Directories in which log may lie. Raises: UsageError where the directory of all cannot be read."""
        copies = copy_directories(self._directory)
        if self._directory in copies:
            return [self._directory / _LOG]
        beside = sorted(one for one in self._directory.iterdir() if one not in copies and one.is_dir())
        return [*(one / _LOG for one in copies), self._directory, *beside]


async def _unwatched(done: int, total: int | None) -> None:
    """Nobody watches."""


def _set(one: Copy, copies: Sequence[Copy]) -> ForeignSet:
    facts = one.facts
    return ForeignSet(
        label=one.label,
        kind=facts.kind,
        parent=parent_label(copies, one),
        system_id=facts.system_id,
        start=facts.start,
        stop=facts.stop,
        started_at=facts.started_at,
        stopped_at=facts.stopped_at,
        bytes_source=facts.bytes,
        bytes_stored=facts.bytes,
        error=None,
        version_text=facts.version_text,
    )


def _nothing_here(copies: Sequence[Copy]) -> list[Problem]:
    if copies:
        return []
    return [
        Problem(
            rule="backup.no_copy",
            message="no directory here has backup_label and backup_manifest",
            hint="--stanza /DIRECTORY of a plain copy (pg_basebackup -Fp), or of several beside each other",
            is_blocking=True,
        )
    ]
