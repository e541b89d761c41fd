"""One stanza of a pgBackRest repository, wherever pgBackRest itself can reach it."""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.scratch import scratch_directory
from dbre.core.text import printable
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import LogConflict
from dbre.ports.backup.model import CopyKind, LogKind, RecoveryTarget, Tool, Verified
from dbre.ports.backup.repository import ForeignLog, ForeignSet, ForeignSwitch, RepositoryFacts
from dbre.tools.pgbackrest.archive import StoredSegment, parse_listing, stored_segments
from dbre.tools.pgbackrest.expiring import expired_labels
from dbre.tools.pgbackrest.information import Stanza, parse_information, sets_of
from dbre.tools.pgbackrest.making import backup_type, watch_backup
from dbre.tools.pgbackrest.problems import conflicting_segments, stanza_problems
from dbre.tools.pgbackrest.program import PgBackRest
from dbre.tools.pgbackrest.segment_content import unpack
from dbre.tools.pgbackrest.verifying import parse_verification
from dbre.tools.tablespaces import IN_PLACE, tablespaces_at_home
from dbre.tools.wal_archive import SEGMENT_BYTES, segment_bytes, switches_to

__all__ = ["PgBackRestRepository"]

_LOOK_SECONDS = 900.0
_FETCH_SECONDS = 600.0
_LONG_SECONDS = 7 * 86_400.0  # a copy of a large server may take days: the operation above has the real limit


class PgBackRestRepository:
    """A ``ForeignRepository``. Reads and runs as ``account``, which must be able to read the repository."""

    tool = "pgbackrest"
    engine = "postgresql"
    is_proved = True
    recovery_settings = (IN_PLACE,)

    def __init__(self, *, account: Account, config: Path | None, stanza: str, repository: int = 1) -> None:
        self._program = PgBackRest(account=account, config=config, stanza=stanza, repository=repository)
        self._account = account
        self._repository = repository

    async def look(self) -> RepositoryFacts:
        """Sets from ``info``, the log from the listing of its files, timelines from the history files."""
        version = await self._program.version()
        stanza = await self._stanza()
        sets = sets_of(stanza, self._repository)
        segment = segment_bytes(stanza.located(self._repository))
        archives = stanza.archives(self._repository)
        stored = {archive: await self._stored(archive) for archive in archives}
        logs = [
            ForeignLog(system_id=system_id, file=file, stored_at=one.stored_at)
            for archive, system_id in archives.items()
            for one in stored[archive]
            if (file := one.log_file(segment or SEGMENT_BYTES)) is not None
        ]
        switches = [one for archive in archives for one in await self._switches(archive, archives[archive], stored[archive])]
        return RepositoryFacts(
            tool=Tool(name=self.tool, version=version, path=None, problem=None),
            sets=sets,
            logs=tuple(sorted(logs, key=lambda one: (one.file.timeline, one.file.start, one.file.name))),
            problems=(*stanza_problems(stanza, self._repository, segment), *conflicting_segments(stored)),
            switches=tuple(switches),
            segment_bytes=segment,
        )

    async def backup(self, kind: CopyKind, progress: CopyProgress) -> ForeignSet:
        """Let pgBackRest copy; where it has no full copy yet it makes one whatever was asked for, and says so."""
        wanted = backup_type(kind)
        before = {one.label for one in sets_of(await self._stanza(), self._repository)}
        running = asyncio.ensure_future(self._program.run("backup", f"--type={wanted}", timeout_seconds=_LONG_SECONDS))
        await watch_backup(running, self._stanza, progress)
        made = [one for one in sets_of(await self._stanza(), self._repository) if one.label not in before]
        if not made:
            raise ProgramFailed(
                f"pgbackrest backup of {self._program.where} ended with 0, and there is no new set",
                hint="pgbackrest info; its log file tells what it did",
            )
        return made[-1]

    async def verify(self, label: str | None = None) -> Verified:
        """What ``verify`` says of every file; holes in the log it does not see: those are ours to find."""
        ended = await self._program.run("verify", "--output=text", "--verbose", timeout_seconds=_LONG_SECONDS)
        return parse_verification(ended.stdout.decode(errors="replace"), seconds=ended.seconds, label=label)

    async def restore(self, label: str, directory: Path, *, target: RecoveryTarget) -> None:  # noqa: ARG002 -- who boots it sets the target
        """Restore the files of a set into an empty directory; no recovery setting is written: who boots it does that.

        Tablespaces go into the directory, never to where the source has them.
        """
        with tablespaces_at_home(directory, self._account) as spaces:
            await self._program.run(
                "restore",
                f"--set={label}",
                f"--pg1-path={directory}",
                f"--tablespace-map-all={spaces}",
                "--type=none",
                "--reset-pg1-host",
                timeout_seconds=_LONG_SECONDS,
            )

    async def fetch(self, name: str, into: Path, *, system_id: str | None = None) -> bool:
        """One log file, compared with the SHA-1 in its stored name. False only where the listing has none of that name.

        Raises: LogConflict where two files of that name differ, CopyDamaged where it is not what was archived.
        """
        archives = (await self._stanza()).archives(self._repository)
        wanted = [archive for archive, known in archives.items() if system_id in (None, known)]
        if not wanted:
            raise ProgramFailed(
                f"{self._program.where} has no log of the server {printable(system_id or '', limit=60)}",
                hint=f"it knows the servers {', '.join(archives.values()) or 'none'}",
            )
        found = [one for one in await self._stored(wanted[-1], name) if one.name == name]
        if not found:
            return False
        if len({one.sha1 for one in found}) > 1:
            raise LogConflict(
                f"{self._program.where} has {len(found)} different log files {name}",
                hint="two servers archived into it: see where each set came from before anything is recovered",
            )
        await self._get(wanted[-1], found[0], into)
        return True

    async def expire(self, *, dry_run: bool) -> Sequence[str]:
        """The sets that pgBackRest's own retention no longer keeps."""
        if dry_run:
            ended = await self._program.run("expire", "--dry-run", "--log-level-console=info", timeout_seconds=_LOOK_SECONDS)
            return expired_labels(ended.stdout.decode(errors="replace"))
        before = [one.label for one in sets_of(await self._stanza(), self._repository)]
        await self._program.run("expire", timeout_seconds=_LONG_SECONDS)
        after = {one.label for one in sets_of(await self._stanza(), self._repository)}
        return [one for one in before if one not in after]

    async def _stanza(self) -> Stanza:
        ended = await self._program.run("info", "--output=json", timeout_seconds=_LOOK_SECONDS)
        return parse_information(ended.stdout, self._program.stanza)

    async def _stored(self, archive: str, name: str | None = None) -> tuple[StoredSegment, ...]:
        """The files of the log of one server; with ``name``, only of the directory where it would lie."""
        path, options = f"archive/{self._program.stanza}/{archive}", ["--recurse"]
        if name is not None:
            options = [] if name.endswith(".history") else [f"--filter=^{name[:24]}"]
            path = path if name.endswith(".history") else f"{path}/{name[:16]}"
        ended = await self._program.run("repo-ls", "--output=json", *options, path, timeout_seconds=_LOOK_SECONDS)
        prefix = f"{path}/".removeprefix(f"archive/{self._program.stanza}/{archive}/")
        return tuple(stored_segments({prefix + path: entry for path, entry in parse_listing(ended.stdout).items()}))

    async def _get(self, archive: str, stored: StoredSegment, into: Path) -> None:
        with scratch_directory(self._account) as directory:
            raw = directory / "stored"
            path = f"archive/{self._program.stanza}/{archive}/{stored.path}"
            await self._program.run("repo-get", path, timeout_seconds=_FETCH_SECONDS, into=raw)
            partial = into.with_name(f".{into.name}.{secrets.token_hex(4)}")
            try:
                await unpack(raw, partial, suffix=stored.suffix, sha1=stored.sha1, account=self._account)
                await asyncio.to_thread(partial.replace, into)
            finally:
                partial.unlink(missing_ok=True)

    async def _switches(self, archive: str, system_id: str, stored: Iterable[StoredSegment]) -> list[ForeignSwitch]:
        found: dict[int, ForeignSwitch] = {}
        for one in stored:
            if (file := one.log_file(SEGMENT_BYTES)) is None or file.kind is not LogKind.HISTORY:
                continue
            with scratch_directory(self._account) as directory:
                into = directory / one.name
                await self._get(archive, one, into)
                text = into.read_text(errors="replace")
            found |= {switch.timeline: switch for switch in switches_to(file.timeline, text, system_id=system_id)}
        return [found[timeline] for timeline in sorted(found)]
