"""A copy of Redis is brought to life: files of the log put behind the copy's own, cut at the target, and loaded."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbre.core.errors import Conflict
from dbre.core.programs.account import give
from dbre.core.programs.confined import Confinement, confine
from dbre.engines.redis.backup.aof import AofDamaged, AofFile, AofManifest, parse_manifest
from dbre.engines.redis.backup.asking import ask
from dbre.engines.redis.backup.booting import booted
from dbre.engines.redis.backup.copying import ENGINE, check_aof
from dbre.engines.redis.backup.positions import TIMELINE, IncrementName, parse_position
from dbre.engines.redis.backup.stopping import Stop, StopSearch
from dbre.ports.backup.child_server import ChildServer
from dbre.ports.backup.engine import CopyProgress, LogFetch, RecoverOrder
from dbre.ports.backup.errors import CopyDamaged, LogGap, TargetNotReached
from dbre.ports.backup.model import Phase, Place, RecoveryOutcome, TargetKind
from dbre.ports.backup.moving import moved
from dbre.ports.engine import Access
from dbre.ports.file_manifest import MANIFEST_NAME, read_file_manifest

__all__ = ["RedisRecovered", "assemble", "recovered"]

_ORIGIN = "dbre-origin.json"
_CHUNK_BYTES = 2**20


async def assemble(
    chain: Sequence[Path], target: Path, progress: CopyProgress, *, place: Place, may_move: bool
) -> Sequence[Phase]:
    """The only member, or a copy of it. Raises: Conflict where there are several, or the target is not empty."""
    if len(chain) != 1:
        raise Conflict(f"a chain of Redis has one member, not {len(chain)}", hint="choose a full copy or a snapshot")
    began = time.monotonic()
    manifest = await asyncio.to_thread(read_file_manifest, chain[0] / MANIFEST_NAME, engine=ENGINE)
    total = sum(entry.size for entry in manifest.files)
    await progress(0, total)
    await asyncio.to_thread(_put, chain[0], target, place, may_move)
    await asyncio.to_thread(_write, target / _ORIGIN, json.dumps(dict(manifest.facts)), place)
    await progress(total, total)
    return [Phase(name="combine", seconds=time.monotonic() - began, bytes=total)]


class RedisRecovered:
    """Implements ``ports.backup.engine.RecoveredServer``. Keys whose time was up expire at once, as they would have."""

    def __init__(self, server: ChildServer, outcome: RecoveryOutcome, *, is_aof: bool) -> None:
        self._server = server
        self._outcome = outcome
        self._is_aof = is_aof
        self._is_stopped = False

    @property
    def access(self) -> Access:
        """With a password that was made for this run, over a socket in a directory of ours."""
        return self._server.access

    @property
    def outcome(self) -> RecoveryOutcome:
        """Where recovery ended."""
        return self._outcome

    async def promote(self) -> Phase:
        """Let it take writes, and prove it by one, which is undone."""
        began = time.monotonic()
        await ask(self.access, "backup_writable", 0)
        await ask(self.access, "backup_probe")
        await ask(self.access, "backup_probe_end")
        return Phase(name="promote", seconds=time.monotonic() - began)

    async def stop(self, *, keep: bool) -> None:
        """Stop it in order. Nothing of the jail is in the directory: its configuration lies elsewhere."""
        if self._is_stopped:
            return
        if keep and not self._is_aof:
            await ask(self.access, "backup_save")  # a snapshot does not have what was written since
        await self._server.stop()
        self._is_stopped = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    facts: Mapping[str, Any]
    settings: Mapping[str, str]
    start: tuple[IncrementName, int] | None


@asynccontextmanager
async def recovered(order: RecoverOrder, *, place: Place) -> AsyncIterator[RedisRecovered]:
    """Recover and give the server; it is killed at the end where nobody stopped it.

    Raises: RecoveryFailed, TargetNotReached before anything was changed, LogGap, CopyDamaged, BinariesMissing.
    """
    origin = await asyncio.to_thread(_read_origin, order.directory)
    logs = order.directory.with_name(f"{order.directory.name}.log")
    await asyncio.to_thread(_fresh, logs, place)
    try:
        began = time.monotonic()
        stop, replayed = await _put_log(order, origin, logs, place)
        seconds = time.monotonic() - began
    finally:
        await asyncio.to_thread(shutil.rmtree, logs, ignore_errors=True)
    confinement = await confine(place.account, wanted=order.jail)
    began = time.monotonic()
    is_aof = origin.start is not None
    version = order.version or str(origin.facts["version_text"])
    async with booted(
        order, place=place, confinement=confinement, version=version, settings=origin.settings, is_aof=is_aof
    ) as server:
        phases = [Phase(name="replay", seconds=seconds, bytes=replayed), Phase(name="start", seconds=time.monotonic() - began)]
        ready = RedisRecovered(server, _outcome(stop, server, confinement, phases), is_aof=is_aof)
        if not order.stays_at_target:
            phases.append(await ready.promote())
            ready = RedisRecovered(server, _outcome(stop, server, confinement, phases), is_aof=is_aof)
        yield ready


def _put(source: Path, target: Path, place: Place, may_move: bool) -> None:
    if target.exists() and any(target.iterdir()):
        raise Conflict(f"{target} is not empty", hint="restore into a new directory")
    if may_move and moved(source, target):
        (target / MANIFEST_NAME).unlink()
    else:
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST_NAME))
    for path in (target, *target.rglob("*")):
        give(path, place.account)


def _write(path: Path, text: str, place: Place) -> None:
    """Whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    give(beside, place.account)
    beside.replace(path)


def _read_origin(directory: Path) -> _Origin:
    try:
        facts = json.loads((directory / _ORIGIN).read_text("ascii"))
        start = parse_position(facts["position"]) if facts["position"] else None
        return _Origin(facts=facts, settings=facts["settings"], start=start)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CopyDamaged(f"{directory} was not assembled by us: {error}", hint="restore into a new directory") from error


def _fresh(directory: Path, place: Place) -> None:
    shutil.rmtree(directory, ignore_errors=True)  # of an attempt that was killed
    directory.mkdir(mode=0o700)
    give(directory, place.account)


async def _put_log(order: RecoverOrder, origin: _Origin, logs: Path, place: Place) -> tuple[Stop | None, int]:
    """Put the files of the log behind the copy's own; with the bytes that were put. None: a snapshot, which has none."""
    if origin.start is None:
        if order.target.kind in (TargetKind.LATEST, TargetKind.IMMEDIATE):
            return None, 0
        raise TargetNotReached("this copy is a snapshot: only its own moment can be brought back")
    search = StopSearch(order.target, start=origin.start)
    aof = order.directory / origin.settings["appenddirname"]
    if order.log is None or order.target.kind is TargetKind.IMMEDIATE:
        stop = await asyncio.to_thread(_search_copy, search, origin, aof)
        files: list[tuple[IncrementName, Path]] = []
    else:
        stop, files = await _search_log(search, order.log, origin, aof, logs)
    if not stop.has_reached_target:
        raise TargetNotReached(
            f"recovery would end before its target: {stop.reason}",
            hint="recover to a target that the log has, or to the latest",
        )
    replayed = 0
    if files:
        needed = [path for name, path in files if name.number < stop.name.number]
        replayed = max(0, sum(path.stat().st_size for path in needed) + stop.offset - origin.start[1])
        await asyncio.to_thread(_install, aof, origin, files, stop, place)
    await check_aof(order.directory, origin.settings, place=place)
    return stop, replayed


def _search_copy(search: StopSearch, origin: _Origin, aof: Path) -> Stop:
    """Without log there is only what the copy itself holds."""
    assert origin.start is not None  # noqa: S101 -- the caller asked
    name = origin.start[0]
    try:
        return search.read(name, aof / name.text, is_last=True) or search.at_end()
    except AofDamaged as error:
        raise CopyDamaged(f"{name.text} is damaged: {error}", hint="verify the set") from error


async def _search_log(
    search: StopSearch, log: LogFetch, origin: _Origin, aof: Path, logs: Path
) -> tuple[Stop, list[tuple[IncrementName, Path]]]:
    assert origin.start is not None  # noqa: S101 -- the caller asked
    name, size = origin.start
    current = await _fetch(log, name, logs)
    if current is None:
        raise LogGap(f"log file {name.text} is missing, in which replay begins", hint="restore to the copy's own moment")
    await asyncio.to_thread(_require_same_beginning, aof / name.text, current, size)
    files: list[tuple[IncrementName, Path]] = []
    stop: Stop | None = None
    while current is not None and stop is None:
        following = await _fetch(log, name.next, logs)
        try:
            stop = await asyncio.to_thread(search.read, name, current, is_last=following is None)
        except AofDamaged as error:
            raise CopyDamaged(
                f"log file {name.text} is damaged: {error}", hint="restore to a time before it, or from another vault"
            ) from error
        files.append((name, current))
        name, current = name.next, following
    return stop or search.at_end(), files


async def _fetch(log: LogFetch, name: IncrementName, logs: Path) -> Path | None:
    into = logs / name.text
    return into if await log.fetch(name.text, into) else None


def _require_same_beginning(own: Path, fetched: Path, size: int) -> None:
    """The log goes on where the copy ends only if it is the same file."""
    with own.open("rb") as mine, fetched.open("rb") as theirs:
        compared = 0
        while compared < size:
            expected, found = mine.read(_CHUNK_BYTES), theirs.read(_CHUNK_BYTES)[: size - compared]
            if expected[: len(found)] != found or not found:
                raise CopyDamaged(
                    f"log file {own.name} does not begin as the copy's own: they differ behind byte {compared}",
                    hint="the log is of another server, or of the same one after it was set up anew",
                )
            compared += len(found)


def _install(aof: Path, origin: _Origin, files: Sequence[tuple[IncrementName, Path]], stop: Stop, place: Place) -> None:
    manifest_path = aof / f"{origin.settings['appendfilename']}.manifest"
    manifest = parse_manifest(manifest_path.read_text("ascii"))
    needed = [(name, path) for name, path in files if name.number <= stop.name.number]
    for name, path in needed:
        if name == stop.name:
            os.truncate(path, stop.offset)
        target = aof / name.text
        beside = target.with_name(f".{name.text}.new")
        shutil.copyfile(path, beside)
        give(beside, place.account)
        beside.replace(target)
    first = needed[0][0].number
    before = tuple(one for one in manifest.increments if one.number < first)
    added = tuple(AofFile(name.text, name.number, "i") for name, _ in needed)
    _write(manifest_path, AofManifest(manifest.base, before + added).text(), place)


def _outcome(stop: Stop | None, server: ChildServer, confinement: Confinement, phases: list[Phase]) -> RecoveryOutcome:
    return RecoveryOutcome(
        has_reached_target=True,
        reason=stop.reason if stop else "the snapshot is loaded",
        position=stop.position if stop else None,
        last_commit_at=stop.last_commit_at if stop else None,
        timeline=TIMELINE,
        phases=tuple(phases),
        address=server.access.address,
        is_jailed=confinement.is_jailed,
        jail={
            **confinement.description,
            "listeners": f"unix socket {server.access.address.host}, 0700; port 0",
            "writes": "min-replicas-to-write 1 until promoted",
        },
    )
