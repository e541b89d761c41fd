"""Copies of Redis: the append-only file with its base from the server's disk, or a snapshot over the replication protocol.

Files are opened before they are copied, and the manifest is read again after that: a rewrite that begins meanwhile removes
names, never bytes that we hold. So nothing needs to be switched off on the server.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from dbre.core.errors import Unsupported
from dbre.core.fleet import TlsMode
from dbre.core.programs.account import give
from dbre.core.programs.confined import dies_with_us
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run
from dbre.engines.redis.backup.aof import AofDamaged, AofManifest, whole_bytes
from dbre.engines.redis.backup.asking import ask
from dbre.engines.redis.backup.positions import IncrementName, parse_position
from dbre.engines.redis.backup.programs import CHECK_AOF, CHECK_RDB, CLIENT, require_tool
from dbre.engines.redis.backup.source import KEPT_SETTINGS, Source, read_aof, read_source
from dbre.engines.redis.session import server_time
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import CopyDamaged, CopyFailed
from dbre.ports.backup.model import ChecksumState, CopyFacts, CopyKind, CopyOrder, Place
from dbre.ports.engine import Access
from dbre.ports.file_manifest import MANIFEST_NAME, FileManifest, read_file_manifest, write_file_manifest

__all__ = ["ENGINE", "SNAPSHOT_FILE", "check_aof", "copy_facts", "copy_server"]

ENGINE = "redis"
SNAPSHOT_FILE = "dump.rdb"

_COPY_SECONDS = 86_400.0
_CHECK_SECONDS = 86_400.0
_CHUNK_BYTES = 2**20
_ATTEMPTS = 20  # a rewrite ends between two looks at the manifest that often only where it never stops


async def copy_server(access: Access, order: CopyOrder, progress: CopyProgress, *, place: Place) -> CopyFacts:
    """Copy, let Redis's own checker read the copy, then write the manifest.

    Raises: Unreachable, Denied, Unsupported; BinariesMissing, CopyFailed.
    """
    if order.kind not in (CopyKind.FULL, CopyKind.SNAPSHOT):
        raise Unsupported(f"Redis has no {order.kind} copies", hint="take a full one: its log is the append-only file")
    source = await read_source(access)
    position: str | None = None
    if order.kind is CopyKind.FULL and source.has_log:
        position, copied = await _copy_aof(source, order, progress, place)
        bad = None
    else:
        copied, bad = await _copy_snapshot(access, source, order, place)
        await progress(copied, copied)
    stopped_at = server_time(await ask(access, "time"))
    facts = {
        "kind": order.kind.value,
        "form": "rdb" if position is None else "aof",
        "set_id": order.set_id,
        "system_id": source.system_id,
        "product": source.product.value,
        "version_text": source.version_text,
        "started_at": source.measured_at.isoformat(),
        "stopped_at": stopped_at.isoformat(),
        "position": position,
        "checksums": _checksums(source, position).value,
        "settings": {name: source.settings[name] for name in KEPT_SETTINGS if name in source.settings},
        "modules": list(source.modules),
        "warnings": _warnings(source, order, position) + ([bad] if bad else []),
    }
    await asyncio.to_thread(_give_all, order.directory, place)
    manifest = await asyncio.to_thread(write_file_manifest, order.directory, engine=ENGINE, facts=facts)
    give(order.directory / MANIFEST_NAME, place.account)
    return _as_facts(order.directory, manifest)


def copy_facts(directory: Path) -> CopyFacts:
    """What a copy says of itself. Raises: CopyDamaged where it is none."""
    return _as_facts(directory, read_file_manifest(directory / MANIFEST_NAME, engine=ENGINE))


async def check_aof(directory: Path, settings: Mapping[str, str], *, place: Place) -> None:
    """Let redis-check-aof read an append-only file. Raises: CopyDamaged with what it says."""
    program = await require_tool(CHECK_AOF, place)
    manifest = directory / settings["appenddirname"] / f"{settings['appendfilename']}.manifest"
    await _check([program, manifest], directory, place)


async def _copy_aof(source: Source, order: CopyOrder, progress: CopyProgress, place: Place) -> tuple[str, int]:
    target = order.directory / source.settings["appenddirname"]
    target.mkdir(mode=0o700)
    give(target, place.account)
    loop = asyncio.get_running_loop()
    done = 0

    async def tell(count: int) -> None:
        await progress(count, None)

    def told(count: int) -> None:
        nonlocal done
        done += count
        asyncio.run_coroutine_threadsafe(tell(done), loop).result()

    manifest = await asyncio.to_thread(_copy_files, source, target, told, order.bytes_per_second)
    newest = manifest.increments[-1]
    name = IncrementName.parse(newest.name)
    if name is None:
        raise Unsupported(f"the append-only file {newest.name!r} has a name that we do not know")
    try:
        end = await asyncio.to_thread(_trim, target / newest.name)
    except AofDamaged as error:
        raise CopyFailed(f"the server's {newest.name} is damaged: {error}", hint="look at it with redis-check-aof") from error
    (target / f"{source.settings['appendfilename']}.manifest").write_text(manifest.text(), "ascii")
    await asyncio.to_thread(_give_all, order.directory, place)
    await check_aof(order.directory, source.settings, place=place)
    return name.at(end).text, done


def _copy_files(source: Source, target: Path, told: Any, limit: int | None) -> AofManifest:
    with ExitStack() as stack:
        manifest, files = _open_files(source, stack)
        for name, file in files.items():
            with open(target / name, "xb", opener=_private) as writer:
                _pour(file, writer, told, limit)
    return manifest


def _open_files(source: Source, stack: ExitStack) -> tuple[AofManifest, dict[str, BinaryIO]]:
    """All files of one manifest, open: it was the same before and after they were opened."""
    for _ in range(_ATTEMPTS):
        manifest = read_aof(source)
        try:
            with ExitStack() as attempt:
                wanted = [*((manifest.base,) if manifest.base else ()), *manifest.increments]
                opened = {one.name: attempt.enter_context(_open(source.aof_directory / one.name)) for one in wanted}
                if read_aof(source) == manifest:
                    stack.enter_context(attempt.pop_all())
                    return manifest, opened
        except FileNotFoundError:
            continue
    raise CopyFailed("the append-only file is rewritten all the time", hint="see auto-aof-rewrite-percentage")


def _open(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _pour(source: BinaryIO, target: BinaryIO, told: Any, limit: int | None) -> None:
    began, done = time.monotonic(), 0
    while chunk := source.read(_CHUNK_BYTES):
        target.write(chunk)
        done += len(chunk)
        told(len(chunk))
        if limit:
            time.sleep(max(0.0, done / limit - (time.monotonic() - began)))


def _trim(path: Path) -> int:
    """Cut off a command that was still being written; where the last whole one ends."""
    end = whole_bytes(path)
    with path.open("r+b") as file:
        file.truncate(end)
    return end


async def _copy_snapshot(access: Access, source: Source, order: CopyOrder, place: Place) -> tuple[int, str | None]:
    program = await require_tool(CLIENT, place)
    path = order.directory / SNAPSHOT_FILE
    words: list[str | Path] = [*await dies_with_us(place.account), program, "--rdb", path, *_where(access)]
    secret = {"REDISCLI_AUTH": access.password.reveal()} if access.password else {}
    try:
        await run(
            words,
            account=place.account,
            directory=order.directory,
            timeout_seconds=_COPY_SECONDS,
            environment=secret,
            program=CLIENT,
        )
    except ProgramFailed as error:
        raise CopyFailed(error.message, hint="the login needs +sync +psync +replconf", context=error.context) from error
    checker = await require_tool(CHECK_RDB, place)
    await _check([checker, path], order.directory, place)
    size = path.stat().st_size
    warning = "rdbchecksum is off: damage of the snapshot before it was copied cannot be seen"
    return size, warning if source.settings.get("rdbchecksum") == "no" else None


def _where(access: Access) -> list[str]:
    host = access.address.host
    words = ["-s", host] if host.startswith("/") else ["-h", host, "-p", str(access.address.port)]
    words += ["--user", access.user] if access.user else []
    if access.tls not in (TlsMode.DISABLE, TlsMode.PREFER):
        words += ["--tls", *(["--cacert", access.tls_ca_file] if access.tls_ca_file else [])]
        words += ["--insecure"] if access.tls is TlsMode.REQUIRE else []
    return words


async def _check(words: list[str | Path], directory: Path, place: Place) -> None:
    try:
        await run(words, account=place.account, directory=directory, timeout_seconds=_CHECK_SECONDS)
    except ProgramFailed as error:
        raise CopyDamaged(error.message, hint="take another copy", context=error.context) from error


def _give_all(directory: Path, place: Place) -> None:
    for path in directory.rglob("*"):
        give(path, place.account)


def _checksums(source: Source, position: str | None) -> ChecksumState:
    """A snapshot ends with a checksum that the checker reads; commands have none."""
    if position is not None:
        return ChecksumState.UNCHECKED
    return ChecksumState.OFF if source.settings.get("rdbchecksum") == "no" else ChecksumState.GOOD


def _warnings(source: Source, order: CopyOrder, position: str | None) -> list[str]:
    found = []
    if order.kind is CopyKind.FULL and position is None:
        found.append("appendonly is off: this copy is a snapshot, and nothing after it can be recovered")
    if position is not None and source.settings.get("aof-timestamp-enabled") != "yes":
        found.append("aof-timestamp-enabled is off: the log has no times, so no time can be a target")
    return found


def _as_facts(directory: Path, manifest: FileManifest) -> CopyFacts:
    facts: Mapping[str, Any] = manifest.facts
    position = None
    if facts["position"] is not None:
        name, offset = parse_position(str(facts["position"]))
        position = name.at(offset)
        inside = directory / str(facts["settings"]["appenddirname"]) / name.text
        if not inside.is_file() or inside.stat().st_size != offset:
            raise CopyDamaged(f"{directory}: {name.text} does not end at {offset}, as the manifest says")
    elif not (directory / SNAPSHOT_FILE).is_file():
        raise CopyDamaged(f"{directory} has no {SNAPSHOT_FILE}")
    return CopyFacts(
        kind=CopyKind(facts["kind"]),
        system_id=str(facts["system_id"]),
        start=position,
        stop=position,
        started_at=datetime.fromisoformat(facts["started_at"]),
        stopped_at=datetime.fromisoformat(facts["stopped_at"]),
        bytes=sum(entry.size for entry in manifest.files),
        files=len(manifest.files),
        manifest=directory / MANIFEST_NAME,
        checksums=ChecksumState(facts["checksums"]),
        tool=f"{facts['product']} {facts['version_text']}",
        product=str(facts["product"]),
        version_text=str(facts["version_text"]),
        warnings=tuple(facts["warnings"]),
        details={"form": facts["form"]},
    )
