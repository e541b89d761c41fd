"""Dumps by pg_dump in its directory format, several tables at a time, each database as of one moment."""

import asyncio
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from dbre.core.errors import Conflict, Unsupported, UsageError
from dbre.core.programs.account import give, require_reachable
from dbre.core.programs.confined import dies_with_us
from dbre.core.programs.run import spawn
from dbre.core.programs.scratch import scratch_directory
from dbre.core.text import one_line, quoted
from dbre.engines.postgres.backup.asking import Questions, ask
from dbre.engines.postgres.backup.client_session import ClientSession, client_session
from dbre.engines.postgres.backup.source import Source, read_source
from dbre.engines.postgres.backup.toolbox import Client, Toolbox
from dbre.engines.postgres.dumps.layout import DUMP_ENGINE, GLOBALS, facts_of, folder_of
from dbre.engines.postgres.dumps.source import DumpSource, read_dump_source
from dbre.engines.postgres.dumps.survey import blocking_of
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import CopyFailed
from dbre.ports.backup.model import CopyFacts, CopyKind, CopyOrder
from dbre.ports.engine import Access
from dbre.ports.file_manifest import MANIFEST_NAME, write_file_manifest

__all__ = ["JOBS", "dump"]

JOBS = max(1, min(4, os.cpu_count() or 1))
"""Tables that are read at once; as many sessions on the server, and one more."""
_WARNING = re.compile(r"\b(warning|error|hint|detail)\b", re.IGNORECASE)
_LONGEST_WARNINGS = 50
_POLL_SECONDS = 0.5


@dataclass(slots=True)
class _Run:
    """What the programs of one dump have in common."""

    access: Access
    order: CopyOrder
    toolbox: Toolbox
    client: Client
    source: DumpSource
    progress: CopyProgress
    scratch: Path
    session: ClientSession
    prefix: tuple[str, ...]
    warnings: list[str] = field(default_factory=list)

    @property
    def total(self) -> int | None:
        sizes = [one.bytes for one in self.source.databases]
        return None if None in sizes else sum(one or 0 for one in sizes)


async def dump(toolbox: Toolbox, access: Access, order: CopyOrder, progress: CopyProgress) -> CopyFacts:
    """Dump roles and databases into an empty directory, and list every file of it.

    Raises: CopyFailed, Conflict where the server was replaced meanwhile, Unsupported, Unreachable, Denied.
    """
    account, directory = toolbox.place.account, order.directory
    if order.kind is not CopyKind.LOGICAL:
        raise Unsupported(
            f"PostgreSQL is not dumped as {order.kind}", hint="a dump is a logical copy; provider: native makes others"
        )
    if not directory.is_dir() or any(directory.iterdir()):
        raise UsageError(f"{directory} must be an empty directory", hint="each copy gets a new directory of its own")
    require_reachable(directory, account)
    what = f"backup:{order.set_id}"
    source = await read_dump_source(access, what=what, chosen=order.databases)
    forbidden = blocking_of(source)
    if forbidden is not None:
        raise CopyFailed(
            f"a dump of {access.address} would not be whole: {forbidden}", hint="dbre backup check names what the login lacks"
        )
    client = await toolbox.client(source.server.version[0], wants_tls=False)  # without TLS of its own it gets our bridge
    (directory / "databases").mkdir(mode=0o700)
    give(directory / "databases", account)
    with scratch_directory(account) as scratch:
        name = access.session_name(what)
        async with client_session(access, client, toolbox.place, scratch=scratch, name=name) as session:
            run = _Run(
                access=access, order=order, toolbox=toolbox, client=client, source=source, progress=progress, scratch=scratch,
                session=session, prefix=await dies_with_us(account, signal_name="TERM"),
            )  # fmt: skip
            await _globals(run)
            for number, one in enumerate(source.databases, 1):
                await _database(run, one.name, directory / folder_of(number))
    after = await ask(access, _look, what=what)
    if after.system_id != source.server.system_id:
        raise Conflict(
            f"the server was replaced during the dump: system {source.server.system_id} became {after.system_id}",
            hint="take the dump again when the cluster is at rest",
        )
    await asyncio.to_thread(write_file_manifest, directory, engine=DUMP_ENGINE, facts=_facts(run, after))
    give(directory / MANIFEST_NAME, account)
    found = await asyncio.to_thread(facts_of, directory)
    await progress(found.bytes, found.bytes)
    return found


async def _look(questions: Questions) -> Source:
    return await read_source(questions)


async def _globals(run: _Run) -> None:
    """Roles with their memberships and settings; passwords only where the login may read them anyway."""
    words: list[str | Path] = [
        "--globals-only", "--no-tablespaces", "--no-password", f"--dbname={run.session.conninfo}",
        f"--database={run.access.database or 'postgres'}", f"--file={run.order.directory / GLOBALS}",
    ]  # fmt: skip
    if not run.source.login.may_read_passwords:
        words.append("--no-role-passwords")
    await _program(run, "pg_dumpall", words, of="roles")


async def _database(run: _Run, name: str, folder: Path) -> None:
    """Every session of pg_dump sees the snapshot of its first one. Row security that would hide rows is an error."""
    words: list[str | Path] = [
        "--format=directory", f"--jobs={JOBS}", f"--file={folder}", "--no-password",
        "--compress=0",  # the vault does it better, and once
        f"--dbname={make_conninfo(run.session.conninfo, dbname=name)}",
    ]  # fmt: skip
    await _program(run, "pg_dump", words, of=f"database {quoted(name, limit=80)}")


async def _program(run: _Run, program: str, words: list[str | Path], *, of: str) -> None:
    def note(line: str) -> None:
        if _WARNING.search(line) and len(run.warnings) < _LONGEST_WARNINGS:
            run.warnings.append(one_line(line))

    argv = [*run.prefix, run.client.binaries.program(program), *words]
    async with spawn(
        argv, account=run.toolbox.place.account, directory=run.scratch, environment=run.session.environment,
        on_line=note, program=program,
    ) as child:  # fmt: skip
        ended = asyncio.create_task(child.wait())
        try:
            while not (await asyncio.wait({ended}, timeout=_POLL_SECONDS))[0]:
                await run.progress(await asyncio.to_thread(_bytes_below, run.order.directory), run.total)
            status = await ended
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
    if status != 0:
        error = child.failure(status)
        raise CopyFailed(
            f"{of} of PostgreSQL at {run.access.address}: {error.message}",
            hint="dbre backup check names what the login lacks",
            context=error.context,
        ) from error


def _bytes_below(directory: Path) -> int:
    size = 0
    for folder, _, files in os.walk(directory):
        for name in files:
            try:
                size += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 -- a file for each table
            except FileNotFoundError:
                continue
    return size


def _facts(run: _Run, after: Source) -> dict[str, Any]:
    server, warnings = run.source.server, list(run.warnings)
    if run.order.bytes_per_second:
        warnings.append("pg_dump cannot be limited to a number of bytes a second")
    unlogged = sum(int(one.contents.unlogged_tables) for one in run.source.databases)
    if unlogged:
        warnings.append(f"{unlogged} unlogged tables are dumped with their rows, as no copy of files would")
    return {
        "kind": CopyKind.LOGICAL.value,
        "set_id": run.order.set_id,
        "system_id": server.system_id,
        "version_text": server.version_text,
        "started_at": server.server_time.isoformat(),
        "stopped_at": after.server_time.isoformat(),
        "tool": f"pg_dump (PostgreSQL) {run.client.binaries.version_text}",
        "dump_major": run.client.binaries.version,
        "bootstrap_role": run.source.login.bootstrap_role,
        "has_passwords": bool(run.source.login.may_read_passwords),
        "preload": list(run.source.preload),
        "databases": [{"name": one.name, "extensions": list(one.extensions)} for one in run.source.databases],
        "warnings": warnings,
    }
