"""A directory of dumps that mongodump made of one replica set. Written from the manuals, proved on no server yet."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dbre.core.errors import Refused, Unsupported, UsageError
from dbre.core.programs.account import Account, give
from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import printable, quoted
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.model import CopyFault, CopyKind, LogFile, LogKind, Problem, RecoveryTarget, TargetKind, Tool, Verified
from dbre.ports.backup.repository import ForeignLog, ForeignSet, RepositoryFacts
from dbre.tools.call import call, find_program
from dbre.tools.mongodb_backup.dump_directory import Dump, check_dump, find_dumps, read_dump
from dbre.tools.mongodb_backup.optime import optime, parse_optime
from dbre.tools.mongodb_backup.program import dump_argv, open_tools, require_replica_set
from dbre.tools.mongodb_backup.scratch_server import restore_into

__all__ = ["DumpRepository", "oplog_limit"]

_LONG_SECONDS = 7 * 86_400.0  # the operation above has the real limit
_PROGRESS_SECONDS = 5.0
_HINT = "mongodb-database-tools of MongoDB"


def oplog_limit(dump: Dump, target: RecoveryTarget) -> str:
    """``--oplogLimit`` for a restore: the first entry that is not replayed, which is just behind the last one.

    Collections are copied one after the other and agree only at the end of the oplog that was kept meanwhile: any target
    before that would give rows from after it. Any target behind it is not in the dump.

    Raises: Refused, Unsupported.
    """
    if dump.last is None:
        raise Refused(
            f"dump {quoted(dump.label, limit=60)} is of no one moment: {dump.problem or 'it has no oplog'}", hint="--oplog"
        )
    end = optime(dump.last + 1)
    match target.kind:
        case TargetKind.LATEST | TargetKind.IMMEDIATE:
            return end.text
        case TargetKind.TIME if target.at is not None:
            asked = int(target.at.timestamp()) * 2**32
            fits = dump.last >> 32 == asked >> 32
        case TargetKind.POSITION if target.value is not None:
            fits = parse_optime(target.value).value == dump.last
        case _:
            raise Unsupported(f"a dump of MongoDB cannot be restored to a {target.kind}", hint="latest, a time or a position")
    if not fits:
        raise Refused(
            f"dump {quoted(dump.label, limit=60)} is consistent at {optime(dump.last).text} and nowhere else",
            hint="restore it to latest; for other moments Percona Backup for MongoDB keeps slices of the oplog",
        )
    return end.text


class DumpRepository:
    """A ``ForeignRepository``. ``directory`` holds one directory for each dump; ``config`` is what mongodump reads."""

    tool = "mongodb"
    engine = "mongodb"
    is_proved = False
    recovery_settings = ()

    def __init__(self, *, account: Account, config: Path | None, directory: Path) -> None:
        if not directory.is_absolute():
            raise UsageError(
                f"{quoted(str(directory), limit=200)} is no absolute path", hint="--stanza /DIRECTORY of the dumps"
            )
        self._tools = open_tools(account=account, config=config)
        self._account = account
        self._directory = directory

    async def look(self) -> RepositoryFacts:
        """The dumps, each with the oplog that makes it consistent; read from the files themselves, no server is asked."""
        dumps = await asyncio.to_thread(find_dumps, self._directory)
        return RepositoryFacts(
            tool=Tool(name="mongodump", version=None, path=None, problem=None),
            sets=tuple(_set(one) for one in dumps),
            logs=tuple(found for one in dumps if (found := _log(one)) is not None),
            problems=tuple(_problems(dumps)),
        )

    async def backup(self, kind: CopyKind, progress: CopyProgress) -> ForeignSet:
        """A dump with its oplog. Raises: Unsupported where the server is of a sharded cluster or has no oplog."""
        if kind not in (CopyKind.LOGICAL, CopyKind.FULL):
            raise Unsupported(f"mongodump makes no {kind} copies", hint="it makes logical copies")
        config = self._tools.need_config()
        program = find_program("mongodump", hint=_HINT)
        require_replica_set(await self._tools.topology())
        name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        partial = self._directory / f".{name}.{secrets.token_hex(4)}"  # hidden: half a dump is never listed
        partial.mkdir(mode=0o700)
        give(partial, self._account)
        argv = dump_argv(program, config=config, directory=partial)
        running = asyncio.ensure_future(call(argv, account=self._account, timeout_seconds=_LONG_SECONDS))
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=_PROGRESS_SECONDS)
                await progress(0, None)
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait({running})
        ended = running.result()
        if ended.status != 0:
            raise ProgramFailed(
                f"mongodump ended with {ended.status}: {self._tools.hidden(ended.said)}",
                hint=f"what it wrote is in {partial}; remove that",
                context={"program": "mongodump", "exit_status": ended.status},
            )
        made = await asyncio.to_thread(read_dump, partial)
        if made is None or made.last is None:
            said = "no oplog" if made is None or made.problem is None else made.problem
            raise ProgramFailed(
                f"mongodump ended with 0, and the dump in {partial} is of no one moment: {said}", hint="remove it"
            )
        await asyncio.to_thread(partial.rename, self._directory / name)
        found = await asyncio.to_thread(read_dump, self._directory / name)
        if found is None:
            raise ProgramFailed(f"the dump {self._directory / name} went away", hint="does something else delete there?")
        return _set(found)

    async def verify(self, label: str | None = None) -> Verified:
        """Every document of every file is read: a dump has no checksums, so only what is cut off or mangled is found."""
        began = asyncio.get_running_loop().time()
        dumps = await asyncio.to_thread(find_dumps, self._directory)
        chosen = dumps if label is None else (self._labelled(dumps, label),)
        files, faults = 0, list[CopyFault]()
        for one in chosen:
            read, wrong = await asyncio.to_thread(check_dump, one)
            files, faults = files + read, faults + list(wrong)
        seconds = asyncio.get_running_loop().time() - began
        return Verified(files=files, bytes=sum(one.bytes for one in chosen), seconds=seconds, faults=tuple(faults))

    async def restore(self, label: str, directory: Path, *, target: RecoveryTarget) -> None:
        """Into the files of a new server, which listens on a socket of its own while it is filled, and is stopped then."""
        dumps = await asyncio.to_thread(find_dumps, self._directory)
        dump = self._labelled(dumps, label)
        await restore_into(dump, directory, limit=oplog_limit(dump, target), account=self._account)

    async def fetch(self, name: str, into: Path, *, system_id: str | None = None) -> bool:  # noqa: ARG002
        """Not done: the oplog of a dump makes that dump consistent and is of no other use."""
        raise Unsupported(f"{quoted(name, limit=100)} is part of its dump", hint="the restore replays it: --oplogReplay")

    async def expire(self, *, dry_run: bool) -> Sequence[str]:  # noqa: ARG002
        """Not done: mongodump keeps no rule for how long."""
        raise Unsupported("mongodump has no retention of its own", hint="remove directories by the rule that you have")

    @staticmethod
    def _labelled(dumps: Sequence[Dump], label: str) -> Dump:
        found = next((one for one in dumps if one.label == label), None)
        if found is None:
            raise UsageError(f"there is no dump {quoted(label, limit=100)}", hint="dbre backup inspect mongodb shows them")
        return found


def _set(one: Dump) -> ForeignSet:
    return ForeignSet(
        label=one.label,
        kind=CopyKind.LOGICAL,
        parent=None,
        system_id="dump",  # a dump does not tell of which replica set it is
        start=optime(one.first) if one.first is not None else None,
        stop=optime(one.last + 1) if one.last is not None else None,
        started_at=one.begun_at,
        stopped_at=one.written_at,
        bytes_source=None,
        bytes_stored=one.bytes,
        error=None,
        version_text=one.server_version,
    )


def _log(one: Dump) -> ForeignLog | None:
    if one.first is None or one.last is None:
        return None
    file = LogFile(
        name=f"{one.label}/oplog.bson",
        kind=LogKind.SEGMENT,
        timeline=1,
        start=one.first,
        end=one.last + 1,
        size=0,
        sha256="",
    )
    return ForeignLog(system_id="dump", file=file, stored_at=one.written_at)


def _problems(dumps: Sequence[Dump]) -> Iterator[Problem]:
    for one in dumps:
        if one.first is None:
            yield Problem(
                rule="backup.not_consistent",
                message=f"dump {printable(one.label, limit=100)} is of no one moment: {printable(one.problem or 'no oplog')}",
                hint="mongodump --oplog, of a member of a replica set",
                is_blocking=False,
            )
