"""An assembled directory is brought to life: log fetched, the stop found in it, server started, log replayed."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dbre.core.programs.account import give
from dbre.core.programs.confined import Confinement, confine
from dbre.engines.mysql.backup.assembling import read_origin
from dbre.engines.mysql.backup.binlog_events import FIRST_POSITION, BinlogDamaged
from dbre.engines.mysql.backup.booting import booted
from dbre.engines.mysql.backup.option_file import login_file
from dbre.engines.mysql.backup.positions import BinlogName
from dbre.engines.mysql.backup.replaying import replay
from dbre.engines.mysql.backup.source import ask
from dbre.engines.mysql.backup.stopping import Stop, StopSearch
from dbre.ports.backup.child_server import ChildServer
from dbre.ports.backup.engine import LogFetch, RecoverOrder
from dbre.ports.backup.errors import CopyDamaged, LogGap, TargetNotReached
from dbre.ports.backup.model import Phase, Place, RecoveryOutcome, TargetKind
from dbre.ports.engine import Access

__all__ = ["MariaDbRecovered", "recovered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    """The files that are replayed, and where in them."""

    files: tuple[Path, ...]
    start: int
    stop: Stop
    stop_offset: int | None  # in the last of them; None: up to its end
    bytes: int


class MariaDbRecovered:
    """Implements ``ports.backup.engine.RecoveredServer``."""

    def __init__(self, server: ChildServer, outcome: RecoveryOutcome) -> None:
        self._server = server
        self._outcome = outcome
        self._is_stopped = False

    @property
    def access(self) -> Access:
        """As a login that was made in the copy, over a socket in a directory of ours."""
        return self._server.access

    @property
    def outcome(self) -> RecoveryOutcome:
        """Where recovery ended."""
        return self._outcome

    async def promote(self) -> Phase:
        """Let it take writes, and prove it by a commit. It writes no binary log as long as it runs here."""
        began = time.monotonic()
        probe = ("backup_probe_begin", "backup_probe_table", "backup_probe_write", "backup_probe_end")
        await ask(self.access, "backup_release", *probe)
        return Phase(name="promote", seconds=time.monotonic() - began)

    async def stop(self, *, keep: bool) -> None:
        """Stop it in order; with ``keep`` our login is taken out of it first."""
        if self._is_stopped:
            return
        if keep:
            await ask(self.access, "backup_leave")
        await self._server.stop()
        self._is_stopped = True


@asynccontextmanager
async def recovered(order: RecoverOrder, *, place: Place) -> AsyncIterator[MariaDbRecovered]:
    """Recover and give the server; it is killed at the end where nobody stopped it.

    Raises: RecoveryFailed, TargetNotReached before anything was replayed, LogGap, CopyDamaged, BinariesMissing.
    """
    start, facts = await asyncio.to_thread(read_origin, order.directory)
    version = order.version or str(facts["version_text"])
    logs = order.directory.with_name(f"{order.directory.name}.log")
    await asyncio.to_thread(_fresh, logs, place)
    try:
        began = time.monotonic()
        found = await _find_stop(order, start, logs)
        seconds = time.monotonic() - began
        confinement = await confine(place.account, wanted=order.jail)
        began = time.monotonic()
        async with booted(
            order, place=place, confinement=confinement, version=version, settings=facts.get("settings", {})
        ) as server:
            phases = [Phase(name="start", seconds=time.monotonic() - began)]
            began = time.monotonic()
            if found is not None and found.files:
                await _replay(found, server, place, version, order.timeout_seconds)
            phases.append(Phase(name="replay", seconds=seconds + time.monotonic() - began, bytes=found.bytes if found else 0))
            await ask(server.access, "backup_hold")
            ready = MariaDbRecovered(server, _outcome(order, found, server, confinement, phases, int(facts["server_id"])))
            if not order.stays_at_target:
                phases.append(await ready.promote())
                ready = MariaDbRecovered(server, _outcome(order, found, server, confinement, phases, int(facts["server_id"])))
            yield ready
    finally:
        await asyncio.to_thread(shutil.rmtree, logs, ignore_errors=True)


def _fresh(directory: Path, place: Place) -> None:
    shutil.rmtree(directory, ignore_errors=True)  # of an attempt that was killed
    directory.mkdir(mode=0o700)
    give(directory, place.account)


async def _find_stop(order: RecoverOrder, start: tuple[BinlogName, int] | None, logs: Path) -> _Log | None:
    """Fetch files in order until the target is in one of them. None: the source had no log, and none is wanted."""
    if start is None:
        if order.target.kind in (TargetKind.LATEST, TargetKind.IMMEDIATE):
            return None
        raise TargetNotReached("the source of this copy has no binary log: only the copy's own moment can be brought back")
    search = StopSearch(order.target, start=start)
    files: list[Path] = []
    name, stop = start[0], None
    current = None if search.is_over or order.log is None else await _fetch(order.log, name, logs)
    if current is None and order.log is not None and not search.is_over:
        raise LogGap(f"log file {name.text} is missing, in which replay begins", hint="restore to the copy's own moment")
    while current is not None and order.log is not None and stop is None:
        following = await _fetch(order.log, name.next, logs)
        try:
            stop = await asyncio.to_thread(search.read, name, current, is_last=following is None)
        except BinlogDamaged as error:
            raise CopyDamaged(
                f"log file {name.text} is damaged: {error}", hint="restore to a time before it, or from another vault"
            ) from error
        files.append(current)
        name, current = name.next, following
    stop = stop or search.at_end()
    if not stop.has_reached_target and order.target.kind is not TargetKind.LATEST:
        raise TargetNotReached(
            f"recovery would end before its target: {stop.reason}",
            hint="recover to a target that the log has, or to the latest",
        )
    return await asyncio.to_thread(_log, files, start, stop)


async def _fetch(log: LogFetch, name: BinlogName, logs: Path) -> Path | None:
    into = logs / name.text
    return into if await log.fetch(name.text, into) else None


def _log(files: Sequence[Path], start: tuple[BinlogName, int], stop: Stop) -> _Log:
    """What is replayed: a stop at the beginning of a file needs nothing of that file, and all of the one before it."""
    if stop.position.value <= start[0].start + start[1]:
        return _Log(files=(), start=start[1], stop=stop, stop_offset=None, bytes=0)
    is_at_beginning = stop.offset <= FIRST_POSITION
    needed = tuple(files[:-1] if is_at_beginning else files)
    sizes = [path.stat().st_size for path in needed]
    if not is_at_beginning:
        sizes[-1] = stop.offset
    offset = None if is_at_beginning else stop.offset
    return _Log(files=needed, start=start[1], stop=stop, stop_offset=offset, bytes=max(0, sum(sizes) - start[1]))


async def _replay(found: _Log, server: ChildServer, place: Place, version: str, limit_seconds: float) -> None:
    with login_file(server.access, place.account) as login:
        async with asyncio.timeout(limit_seconds):
            await replay(found.files, start=found.start, stop=found.stop_offset, login=login, place=place, version=version)


def _outcome(
    order: RecoverOrder,
    found: _Log | None,
    server: ChildServer,
    confinement: Confinement,
    phases: list[Phase],
    server_id: int,
) -> RecoveryOutcome:
    jail = {
        **confinement.description,
        "listeners": f"unix socket {server.access.address.host}, 0700; skip-networking",
        "replication": "skip-slave-start",
        "events": "event-scheduler=OFF",
        "log": "skip-log-bin",
    }
    return RecoveryOutcome(
        has_reached_target=found.stop.has_reached_target if found else order.target.kind is TargetKind.IMMEDIATE,
        reason=found.stop.reason if found else "the copy is consistent, and its source has no binary log",
        position=found.stop.position if found else None,
        last_commit_at=found.stop.last_commit_at if found else None,
        timeline=server_id,
        phases=tuple(phases),
        address=server.access.address,
        is_jailed=confinement.is_jailed,
        jail=jail,
    )
