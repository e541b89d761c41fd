"""Copies by ``pg_basebackup``: full, or what changed since a copy whose manifest is here."""

import asyncio
import contextlib
import errno
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from dbre.core.errors import Conflict, DbreError, Unsupported, UsageError
from dbre.core.programs.account import require_reachable
from dbre.core.programs.confined import dies_with_us
from dbre.core.programs.run import Child, spawn
from dbre.core.programs.scratch import scratch_directory
from dbre.core.text import one_line
from dbre.engines.postgres.backup.asking import Questions, ask
from dbre.engines.postgres.backup.client_session import client_session, wants_tls
from dbre.engines.postgres.backup.facts import copy_facts
from dbre.engines.postgres.backup.manifest import MANIFEST
from dbre.engines.postgres.backup.private_files import write_private
from dbre.engines.postgres.backup.source import Source, read_source
from dbre.engines.postgres.backup.tablespaces import Tablespace, bring_home, mapping_options, read_tablespaces
from dbre.engines.postgres.backup.toolbox import FIRST_INCREMENTAL, Toolbox
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import CopyFailed
from dbre.ports.backup.model import ChecksumState, CopyFacts, CopyKind, CopyOrder
from dbre.ports.engine import Access

__all__ = ["copy"]

_PROGRESS = re.compile(r"\s*(\d+)/(\d+) kB \(")
_BAD_PAGES = re.compile(r"checksum verification failed|checksum error occurred|total checksum verification failure")
_NO_ARCHIVING = "WAL archiving is not enabled"
_SLOWEST_KIB, _FASTEST_KIB = 32, 1 << 20  # what --max-rate takes
_LONGEST_WARNINGS = 50
_POLL_SECONDS = 0.5


@dataclass(slots=True)
class _Told:
    """What the program printed so far."""

    done: int = 0
    total: int | None = None
    warnings: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        match = _PROGRESS.match(line)
        if match is not None:
            self.done, self.total = int(match[1]) * 1024, int(match[2]) * 1024
        elif _NO_ARCHIVING in line:
            return  # whether the log is stored is seen to by who ordered the copy, and by no archive_command
        elif re.search(r"\b(WARNING|warning|NOTICE|error|ERROR)\b", line) and len(self.warnings) < _LONGEST_WARNINGS:
            self.warnings.append(one_line(line))

    @property
    def has_bad_pages(self) -> bool:
        return any(_BAD_PAGES.search(one) for one in self.warnings)


async def copy(toolbox: Toolbox, access: Access, order: CopyOrder, progress: CopyProgress) -> CopyFacts:
    """Copy a server into an empty directory.

    Raises: CopyFailed, Conflict where the server changed its identity meanwhile, Unsupported, Unreachable, Denied.
    """
    account = toolbox.place.account
    _require_empty(order.directory)
    require_reachable(order.directory, account)
    source, tablespaces = await ask(access, _look, what=f"backup:{order.set_id}")
    at_least = _require_kind(order, source)
    client = await toolbox.client(source.version[0], wants_tls=wants_tls(access), at_least=at_least)
    told = _Told()
    with scratch_directory(account) as scratch:
        name = access.session_name(f"backup:{order.set_id}")
        async with client_session(access, client, toolbox.place, scratch=scratch, name=name) as session:
            argv: list[str | Path] = [*await dies_with_us(account, signal_name="TERM")]
            argv += [client.binaries.program("pg_basebackup"), f"--dbname={session.conninfo}"]
            argv += _options(order)
            argv += mapping_options(tablespaces, order.directory)
            if order.parent is not None:
                manifest = await asyncio.to_thread(order.parent.manifest.read_bytes)
                argv.append(f"--incremental={write_private(scratch / 'parent_manifest', manifest, account)}")
            async with spawn(
                argv,
                account=account,
                directory=scratch,
                environment=session.environment,
                on_line=told.note,
                program="pg_basebackup",
            ) as child:
                await _follow(child, told, progress, access)
    after, _ = await ask(access, _look, what=f"backup:{order.set_id}")
    await asyncio.to_thread(bring_home, tablespaces, order.directory)
    return await asyncio.to_thread(
        _described, order, source, after, told, f"pg_basebackup (PostgreSQL) {client.binaries.version_text}"
    )


async def _look(questions: Questions) -> tuple[Source, tuple[Tablespace, ...]]:
    return await read_source(questions), await read_tablespaces(questions)


def _require_empty(directory: Path) -> None:
    if not directory.is_dir() or any(directory.iterdir()):
        raise UsageError(f"{directory} must be an empty directory", hint="each copy gets a new directory of its own")


def _require_kind(order: CopyOrder, source: Source) -> int:
    """The oldest client that can do it."""
    if order.kind is CopyKind.FULL:
        return 0
    if order.kind not in (CopyKind.INCREMENTAL, CopyKind.DIFFERENTIAL):
        raise Unsupported(f"PostgreSQL's files are not copied as {order.kind}", hint="take a full or an incremental copy")
    if source.version[0] < FIRST_INCREMENTAL:
        raise Unsupported(
            f"PostgreSQL {source.version_text} has no incremental copies; they came with {FIRST_INCREMENTAL}",
            hint="take full copies, or use pgBackRest",
        )
    if order.parent is None:
        raise UsageError(f"the {order.kind} copy {order.set_id} has no parent", hint="name the set on which it stands")
    return FIRST_INCREMENTAL


def _options(order: CopyOrder) -> list[str]:
    options = [
        f"--pgdata={order.directory}",
        "--format=plain",
        "--checkpoint=fast",
        "--progress",
        "--no-clean",  # whoever gave the directory takes it away; bad pages can be looked at
        "--no-password",
        "--manifest-checksums=SHA256",
        f"--label=dbre {order.set_id}",
        f"--wal-method={'stream' if order.includes_log else 'none'}",
    ]
    if order.bytes_per_second is not None:
        options.append(f"--max-rate={min(max(order.bytes_per_second // 1024, _SLOWEST_KIB), _FASTEST_KIB)}k")
    if not order.verifies_checksums:
        options.append("--no-verify-checksums")
    return options


async def _follow(child: Child, told: _Told, progress: CopyProgress, access: Access) -> None:
    async with _reporting(told, progress):
        status = await child.wait()
    if told.has_bad_pages:
        raise CopyFailed(
            f"PostgreSQL at {access.address} has damaged pages; the copy was given up: {'; '.join(told.warnings[:5])}",
            hint="find out what they hold (dbre integrity), and restore them from an older set before it expires",
            context={"checksums": str(ChecksumState.BAD), "warnings": told.warnings},
        )
    if status != 0:
        error = child.failure(status)
        is_full = os.strerror(errno.ENOSPC) in error.message  # a full disk of the server is said in the same words
        raise CopyFailed(
            f"PostgreSQL at {access.address}: {error.message}",
            hint="make room where the message says: in backup.directory, or on the server's disk"
            if is_full
            else "see what stands in the way: the survey of the cluster (dbre backup check) names what the login lacks",
            context=error.context,
        ) from error


@asynccontextmanager
async def _reporting(told: _Told, progress: CopyProgress) -> AsyncIterator[None]:
    """Hand on how far it is; an error of ``progress`` ends the copy."""

    async def report() -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            await progress(told.done, told.total)

    main = asyncio.current_task()
    reporter = asyncio.create_task(report())
    reporter.add_done_callback(lambda task: main.cancel() if main and not task.cancelled() and task.exception() else None)
    try:
        yield
    except asyncio.CancelledError:
        if reporter.done() and not reporter.cancelled() and (error := reporter.exception()) is not None:
            if main is not None:
                main.uncancel()
            raise error from None
        raise
    finally:
        reporter.cancel()
        with contextlib.suppress(asyncio.CancelledError, DbreError):
            await asyncio.gather(reporter, return_exceptions=True)
    await progress(told.done, told.done)


def _described(order: CopyOrder, before: Source, after: Source, told: _Told, tool: str) -> CopyFacts:
    if after.system_id != before.system_id:
        raise Conflict(
            f"the server was replaced during the copy: system {before.system_id} became {after.system_id}",
            hint="take the copy again when the cluster is at rest",
        )
    # From now on the files say themselves when the copy was complete, on the server's clock and never too early.
    moment = after.server_time.timestamp()
    try:
        os.utime(order.directory / MANIFEST, (moment, moment), follow_symlinks=False)
    except OSError as error:
        raise CopyFailed(f"{order.directory}: pg_basebackup left no manifest", hint="take the copy again") from error
    facts = copy_facts(order.directory)
    if facts.system_id != before.system_id:
        raise Conflict(f"{order.directory} holds system {facts.system_id}, and {before.system_id} was to be copied")
    checked = ChecksumState.GOOD if order.verifies_checksums else ChecksumState.UNCHECKED
    return replace(
        facts,
        kind=order.kind,
        started_at=before.server_time,
        stopped_at=after.server_time,
        checksums=checked if before.has_checksums else ChecksumState.OFF,
        tool=tool,
        version_text=before.version_text,
        warnings=tuple(told.warnings),
        details={
            **facts.details,
            "has_checksums": before.has_checksums,
            "segment_bytes": before.segment_bytes,
            "includes_log": order.includes_log,
        },
    )
