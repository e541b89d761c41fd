"""A dump brought to life: a new cluster in a jail, roles and databases loaded into it, statistics made."""

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from psycopg.conninfo import make_conninfo

from dbre.core.errors import Unsupported
from dbre.core.programs.account import require_reachable
from dbre.core.programs.confined import dies_with_us
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run
from dbre.core.text import counted, one_line, printable, quoted
from dbre.engines.postgres.backup.asking import Questions, ask
from dbre.engines.postgres.backup.plain_files import read_plain
from dbre.engines.postgres.backup.recovering import PostgresRecovered, recover
from dbre.engines.postgres.backup.toolbox import Toolbox
from dbre.engines.postgres.binaries import PostgresBinaries
from dbre.engines.postgres.connection import open_connection
from dbre.engines.postgres.dumps.assembling import DUMP_FOLDER
from dbre.engines.postgres.dumps.closing import set_closed
from dbre.engines.postgres.dumps.cluster import make_cluster
from dbre.engines.postgres.dumps.dumping import JOBS
from dbre.engines.postgres.dumps.layout import GLOBALS, Dump, DumpedDatabase, read_dump
from dbre.engines.postgres.faults import FAULTS
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.errors import CopyDamaged, RecoveryFailed, TargetNotReached
from dbre.ports.backup.model import Phase, RecoveryOutcome, RecoveryTarget, TargetKind
from dbre.ports.engine import Access

__all__ = ["ExtensionsMissing", "LoadedServer", "loaded"]

_GLOBALS_BYTES = 512 << 20
_FENCE = re.compile(rb"^\\(?:un)?restrict [0-9A-Za-z]+$")  # words to psql, of which we make no use
_LOAD_SECONDS = 7 * 86_400.0
_ALWAYS_THERE = frozenset({"plpgsql"})
_LOAD_SETTINGS = (("max_wal_size", "8GB"), ("checkpoint_timeout", "30min"), ("maintenance_work_mem", "256MB"))


class ExtensionsMissing(Unsupported):
    """A dump needs extensions that are not installed on this machine: it may be good, but cannot be loaded here."""

    code = "backup.extensions_missing"


@dataclass(slots=True)
class LoadedServer:
    """Implements ``ports.backup.engine.RecoveredServer``; closed to writes until it is promoted."""

    server: PostgresRecovered
    outcome: RecoveryOutcome

    @property
    def access(self) -> Access:
        """As the first role of the cluster, over a socket in a directory of ours."""
        return self.server.access

    async def promote(self) -> Phase:
        """Let it take writes; returns when one was committed. Raises: RecoveryFailed."""
        await set_closed(self.access, False)
        return await self.server.promote()

    async def stop(self, *, keep: bool) -> None:
        """Stop it cleanly; with ``keep`` as a server without any trace of the jail."""
        await self.server.stop(keep=keep)


@asynccontextmanager
async def loaded(toolbox: Toolbox, order: RecoverOrder) -> AsyncIterator[LoadedServer]:
    """Make a cluster, load the dump, and give the server; it is stopped at the end.

    Raises: TargetNotReached for any moment but the dump's own, ExtensionsMissing, BinariesMissing, RecoveryFailed.
    """
    if order.target.kind not in (TargetKind.LATEST, TargetKind.IMMEDIATE):
        raise TargetNotReached(
            "a dump holds one moment, and no log leads on from it", hint="restore the latest, or as of the dump: --immediate"
        )
    directory, account = order.directory.resolve(), toolbox.place.account
    require_reachable(directory, account)
    dump = await asyncio.to_thread(read_dump, directory / DUMP_FOLDER)
    binaries = await toolbox.same_major(dump.major)
    began = time.monotonic()
    await make_cluster(binaries, dump, directory, account)
    made = time.monotonic() - began
    boot = replace(
        order,
        target=RecoveryTarget(kind=TargetKind.LATEST),
        log=None,
        version=None,
        stays_at_target=False,
        extra_settings=(*_LOAD_SETTINGS, *order.extra_settings),
    )
    async with recover(toolbox, boot) as server:
        try:
            async with asyncio.timeout(order.timeout_seconds):
                phases, notes = await _load(_Loading(toolbox, binaries, dump, server.access, directory))
        except TimeoutError as error:
            raise RecoveryFailed(f"the dump was not loaded within {order.timeout_seconds:.0f} s") from error
        await asyncio.to_thread(shutil.rmtree, directory / DUMP_FOLDER)
        phases = (Phase(name="provision", seconds=made), *server.outcome.phases[:1], *phases)
        if order.stays_at_target:
            await set_closed(server.access, True)
        yield LoadedServer(server, _outcome(server.outcome, dump, phases, notes, is_closed=order.stays_at_target))


@dataclass(frozen=True, slots=True)
class _Loading:
    toolbox: Toolbox
    binaries: PostgresBinaries
    dump: Dump
    access: Access
    directory: Path  # of the server; programs run in it

    def conninfo(self, database: str) -> str:
        where = self.access.address
        return make_conninfo("", host=where.host, port=where.port, user=self.access.user, dbname=database)


async def _load(loading: _Loading) -> tuple[tuple[Phase, ...], tuple[str, ...]]:
    notes = await ask(loading.access, lambda questions: _extensions(questions, loading), what="load")
    began = time.monotonic()
    await _roles(loading)
    for one in loading.dump.databases:
        await _database(loading, one)
    load = Phase(name="load", seconds=time.monotonic() - began, bytes=loading.dump.bytes)
    began = time.monotonic()
    words: list[str | Path] = ["--all", "--analyze-only", "--quiet", "--no-password", f"--jobs={JOBS}"]
    words.append(f"--maintenance-db={loading.conninfo('postgres')}")
    await _program(loading, "vacuumdb", words, of="statistics for the planner")
    return (load, Phase(name="analyze", seconds=time.monotonic() - began)), notes


async def _extensions(questions: Questions, loading: _Loading) -> tuple[str, ...]:
    """Look before anything is loaded, and name all that is missing at once."""
    here = {row.name: row.version for row in await questions.rows("dump_available")}
    missing, other = [], []
    for base in loading.dump.databases:
        for text in base.extensions:
            name, _, version = text.partition(" ")
            if name in _ALWAYS_THERE:
                continue
            shown = f"{printable(name, limit=64)} {printable(version, limit=40)} (database {quoted(base.name, limit=64)})"
            if name not in here:
                missing.append(shown)
            elif here[name] != version:
                other.append(f"{shown} is {here[name]} here")
    if missing:
        major = loading.binaries.version
        raise ExtensionsMissing(
            f"the dump needs {counted(len(missing), 'extension')} that PostgreSQL {major} lacks on this machine: "
            + ", ".join(missing[:20]),
            hint=f"install them for PostgreSQL {major} here, or restore on a machine that has them",
            context={"missing": missing},
        )
    return tuple(other)


async def _roles(loading: _Loading) -> None:
    """Load roles in one go, over the protocol: what psql would take for its own commands is nothing but text here."""
    try:
        text = await asyncio.to_thread(read_plain, loading.directory / DUMP_FOLDER / GLOBALS, limit=_GLOBALS_BYTES)
    except OSError as error:
        raise CopyDamaged(f"the dump of roles cannot be read: {error}") from error
    statements = b"\n".join(line for line in text.splitlines() if not _is_left_out(line, loading.dump.bootstrap_role))
    try:
        connection = await open_connection(loading.access, what="load")
        try:
            await connection.driver.execute(statements)
        finally:
            connection.abort()
    except FAULTS.raised as error:
        found = FAULTS.translate(error, loading.access)
        raise RecoveryFailed(
            f"the roles of the dump cannot be loaded: {one_line(str(error), limit=300)}", hint=found.hint
        ) from error


def _is_left_out(line: bytes, bootstrap_role: str) -> bool:
    """The first role is there already: initdb made it."""
    escaped = bootstrap_role.replace('"', '""')
    return line in (f"CREATE ROLE {bootstrap_role};".encode(), f'CREATE ROLE "{escaped}";'.encode()) or bool(_FENCE.match(line))


async def _database(loading: _Loading, one: DumpedDatabase) -> None:
    """Make the database as it was; one that initdb made, too, is dropped before."""
    words: list[str | Path] = [
        f"--dbname={loading.conninfo('template1' if one.name == 'postgres' else 'postgres')}",
        "--create", "--exit-on-error", "--no-tablespaces", "--no-password", f"--jobs={JOBS}",
    ]  # fmt: skip
    if one.name in ("postgres", "template1"):
        words += ["--clean", "--if-exists"]
    words.append(loading.directory / DUMP_FOLDER / one.folder)
    await _program(loading, "pg_restore", words, of=f"database {quoted(one.name, limit=80)}")


async def _program(loading: _Loading, program: str, words: list[str | Path], *, of: str) -> None:
    account = loading.toolbox.place.account
    prefix = await dies_with_us(account, signal_name="TERM")
    try:
        await run(
            [*prefix, loading.binaries.program(program), *words],
            account=account, directory=loading.directory, timeout_seconds=_LOAD_SECONDS, program=program,
        )  # fmt: skip
    except ProgramFailed as error:
        raise RecoveryFailed(
            f"{of} of the dump cannot be loaded: {error.message}",
            hint="the lines above are the program's own; the dump can be loaded again",
            context=error.context,
        ) from error


def _outcome(
    boot: RecoveryOutcome, dump: Dump, phases: tuple[Phase, ...], notes: tuple[str, ...], *, is_closed: bool
) -> RecoveryOutcome:
    said = f"{counted(len(dump.databases), 'database')} of the dump were loaded"
    if not dump.has_passwords:
        said += "; roles have no passwords"
    if notes:
        said += "; " + "; ".join(notes[:20])
    writes = "refused until it is promoted, unless a session insists" if is_closed else "taken"
    return replace(
        boot, has_reached_target=True, reason=said, position=None, last_commit_at=None, phases=phases,
        jail={**boot.jail, "restored from": "a dump", "writes": writes},
    )  # fmt: skip
