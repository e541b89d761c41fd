"""The backups of one database of SQL Server, as its msdb knows them. Written from the manuals, proved on no server yet."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from dbre.core.errors import Conflict, Unsupported, UsageError
from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import quoted
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.model import CopyFault, CopyKind, RecoveryTarget, Tool, Verified
from dbre.ports.backup.repository import ForeignSet, RepositoryFacts
from dbre.tools.call import Ended, call
from dbre.tools.sqlserver_backup.history import Backup, parse_database, parse_history
from dbre.tools.sqlserver_backup.lsn_chain import chain_problems, label_of, recovery_forks, set_of, stored_log, switches_of
from dbre.tools.sqlserver_backup.program import open_client
from dbre.tools.sqlserver_backup.verifying import faults_of, verify_batch

__all__ = ["SqlServerRepository"]

_LOOK_SECONDS = 900.0
_LONG_SECONDS = 7 * 86_400.0  # the operation above has the real limit
_PROGRESS_SECONDS = 5.0
_PAGE = 100  # as history.sql says
_TYPES = {CopyKind.FULL: "FULL", CopyKind.DIFFERENTIAL: "DIFF", CopyKind.INCREMENTAL: "LOG"}


class SqlServerRepository:
    """A ``ForeignRepository``. What SQL Server calls a log backup is what others call an incremental one: ask for that."""

    tool = "sqlserver"
    engine = "sqlserver"
    is_proved = False
    recovery_settings = ()

    def __init__(self, *, account: Account, config: Path | None, database: str) -> None:
        self._client = open_client(account=account, config=config, database=database)

    async def look(self) -> RepositoryFacts:
        """The history of msdb; which backup stands on which is computed by LSN."""
        database = parse_database(
            await self._client.document("database", timeout_seconds=_LOOK_SECONDS, database=self._client.database)
        )
        backups = await self._history()
        forks = recovery_forks(backups)
        sets = [found for one in backups if (found := set_of(one, backups, forks)) is not None]
        logs = [stored for one in backups if (stored := stored_log(one, forks)) is not None]
        return RepositoryFacts(
            tool=Tool(name=self.tool, version=database.version if database is not None else None, path=None, problem=None),
            sets=tuple(sets),
            logs=tuple(sorted(logs, key=lambda one: (one.file.timeline, one.file.start, one.file.end, one.file.name))),
            problems=tuple(chain_problems(backups, database)),
            switches=switches_of(backups, forks),
        )

    async def backup(self, kind: CopyKind, progress: CopyProgress) -> ForeignSet:
        """``dbo.DatabaseBackup`` with checksums, verified and logged to its table.

        A log backup is a link of a chain and no set: Unsupported here, by the job that makes it every few minutes.
        """
        if kind not in (CopyKind.FULL, CopyKind.DIFFERENTIAL):
            raise Unsupported(
                f"a {kind} copy of SQL Server is no set of its own", hint="full or differential; logs by the job of the tool"
            )
        before = {one.id for one in await self._history()}
        running = asyncio.ensure_future(
            self._client.document("backup", timeout_seconds=_LONG_SECONDS, database=self._client.database, type=_TYPES[kind])
        )
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=_PROGRESS_SECONDS)
                await progress(0, None)
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait({running})
        running.result()
        backups = await self._history()
        forks = recovery_forks(backups)
        made = [found for one in backups if one.id not in before and (found := set_of(one, backups, forks)) is not None]
        fitting = [one for one in made if one.kind is kind]
        if not fitting:
            raise ProgramFailed(
                f"dbo.DatabaseBackup ended well; msdb has no new {kind} backup of {quoted(self._client.database, limit=60)}",
                hint="SELECT * FROM dbo.CommandLog; is this the preferred replica of its availability group?",
            )
        return fitting[-1]

    async def verify(self, label: str | None = None) -> Verified:
        """``RESTORE VERIFYONLY`` of one set, or of the newest full and everything behind it: level 1 only."""
        began = asyncio.get_running_loop().time()
        faults: list[CopyFault] = []
        chosen = _chosen(await self._history(), label)
        for one in chosen:
            try:
                batch = verify_batch(one)
            except Unsupported as error:  # that nobody could look is not that nothing is wrong
                faults.append(CopyFault(rule="not_verified", subject=label_of(one), detail=error.message))
                continue
            faults += faults_of(one, await self._run(batch))
        seconds = asyncio.get_running_loop().time() - began
        size = sum(one.bytes_stored or 0 for one in chosen)
        return Verified(files=sum(len(one.files or []) for one in chosen), bytes=size, seconds=seconds, faults=tuple(faults))

    async def check_integrity(self) -> None:
        """``dbo.DatabaseIntegrityCheck`` (DBCC CHECKDB) of the source. Raises: Conflict naming what it found."""
        ended = await self._client.batch("check", timeout_seconds=_LONG_SECONDS, database=self._client.database)
        if ended.status != 0:
            failure = self._client.failure("check", ended)
            raise Conflict(failure.message, hint="restore the damaged pages: DBCC CHECKDB tells them all") from failure

    async def restore(self, label: str, directory: Path, *, target: RecoveryTarget) -> None:  # noqa: ARG002
        """Not done: only a running instance restores, and the one at hand is the source."""
        raise Unsupported(
            f"dbre does not restore backup {quoted(label, limit=60)} of SQL Server: it would load the source's instance",
            hint="dbatools: Test-DbaLastBackup -Destination OTHER restores it elsewhere and runs DBCC CHECKDB",
        )

    async def fetch(self, name: str, into: Path, *, system_id: str | None = None) -> bool:  # noqa: ARG002
        """Not done: the files lie where the server sees them, not dbre."""
        raise Unsupported(
            f"log backup {quoted(name, limit=60)} is not fetched: nothing in dbre reads the log of SQL Server",
            hint="dbre backup inspect --verify lets the server read it: RESTORE VERIFYONLY",
        )

    async def expire(self, *, dry_run: bool) -> Sequence[str]:  # noqa: ARG002
        """Not done: the procedures delete only while they back up, and tell nothing before."""
        raise Unsupported("dbo.DatabaseBackup has no expiry of its own", hint="@CleanupTime of the job that makes the backups")

    async def _run(self, batch: str) -> Ended:
        return await call(
            self._client.argv(batch),
            account=self._client.account,
            timeout_seconds=_LONG_SECONDS,
            environment=self._client.environment,
        )

    async def _history(self) -> tuple[Backup, ...]:
        found: list[Backup] = []
        while True:
            after = found[-1].id if found else 0
            page = parse_history(
                await self._client.document(
                    "history", timeout_seconds=_LOOK_SECONDS, database=self._client.database, after=after
                )
            )
            if any(one.id <= after for one in page):
                raise ProgramFailed(f"msdb gave backups up to {after} once more", hint="is its history being rewritten?")
            found += page
            if len(page) < _PAGE:
                return tuple(found)


def _chosen(backups: Sequence[Backup], label: str | None) -> list[Backup]:
    if label is not None:
        found = [one for one in backups if label_of(one) == label]
        if not found:
            raise UsageError(f"msdb has no backup {quoted(label, limit=60)}", hint="dbre backup inspect sqlserver shows them")
        return found
    newest = next((one.id for one in reversed(backups) if one.type == "D" and not one.is_copy_only), 0)
    return [one for one in backups if one.id >= newest]
