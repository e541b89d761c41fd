"""One data directory out of a full copy and its incrementals; the copies stay as they are, because preparing changes them."""

import asyncio
import itertools
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dbre.core.errors import Conflict
from dbre.core.programs.account import give
from dbre.core.programs.confined import dies_with_us
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run
from dbre.engines.mysql.backup.copy_notes import read_notes
from dbre.engines.mysql.backup.copying import ENGINE
from dbre.engines.mysql.backup.positions import BinlogName
from dbre.engines.mysql.backup.programs import BACKUP, require_tool
from dbre.engines.mysql.backup.source import size_of
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import Phase, Place
from dbre.ports.backup.moving import moved
from dbre.ports.file_manifest import MANIFEST_NAME, FileManifest, read_file_manifest

__all__ = ["assemble", "prepare_copy", "read_origin"]

_ORIGIN = "dbre-origin.json"
_PREPARE_SECONDS = 7 * 86_400.0


async def assemble(
    chain: Sequence[Path], target: Path, progress: CopyProgress, *, place: Place, may_move: bool
) -> Sequence[Phase]:
    """Copy the full set to ``target`` (or move it there, if it is alone) and apply each incremental, from a copy of its own.

    Raises: Conflict where the chain is none; CopyDamaged where a prepare fails; BinariesMissing.
    """
    manifests = [await asyncio.to_thread(read_file_manifest, one / MANIFEST_NAME, engine=ENGINE) for one in chain]
    _require_chain(manifests)
    version = str(manifests[-1].facts["version_text"])
    program = await require_tool(BACKUP, place, version=version)
    total = sum(entry.size for manifest in manifests for entry in manifest.files)
    began = time.monotonic()
    await progress(0, total)
    await asyncio.to_thread(_put, chain[0], target, place, may_move and len(chain) == 1)
    done = sum(entry.size for entry in manifests[0].files)
    await progress(done, total)
    phases = [Phase(name="combine", seconds=time.monotonic() - began, bytes=done)]
    began = time.monotonic()
    await prepare_copy(program, target, None, place)
    for part, manifest in zip(chain[1:], manifests[1:], strict=True):
        await _apply(program, target, part, place)
        done += sum(entry.size for entry in manifest.files)
        await progress(done, total)
    if not (await asyncio.to_thread(read_notes, target)).is_prepared:
        raise CopyDamaged(f"{target} is not prepared, though mariadb-backup ended with 0")
    await asyncio.to_thread(_write_origin, target, manifests[-1], place)
    phases.append(Phase(name="prepare", seconds=time.monotonic() - began, bytes=await asyncio.to_thread(size_of, target)))
    return phases


def read_origin(directory: Path) -> tuple[tuple[BinlogName, int] | None, dict[str, Any]]:
    """Where replay begins in an assembled directory, and what the newest set's manifest said. Raises: CopyDamaged."""
    try:
        facts = json.loads((directory / _ORIGIN).read_text("ascii"))
        found = facts["binlog"]
        start = (BinlogName.of(int(facts["server_id"]), found[0]), int(found[1])) if found else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CopyDamaged(f"{directory} was not assembled by us: {error}", hint="restore into a new directory") from error
    return start, facts


def _require_chain(manifests: Sequence[FileManifest]) -> None:
    first = manifests[0].facts
    if first["from_lsn"] != 0:
        raise Conflict(f"set {first['set_id']} is incremental, and a chain begins with a full one", hint="add its parents")
    for before, after in itertools.pairwise(manifests):
        same = all(before.facts[name] == after.facts[name] for name in ("system_id", "server_id"))
        if not same or after.facts["from_lsn"] != before.facts["to_lsn"]:
            raise Conflict(
                f"set {after.facts['set_id']} begins at LSN {after.facts['from_lsn']} of server {after.facts['server_id']}, "
                f"and does not stand on {before.facts['set_id']}, which ends at {before.facts['to_lsn']}",
                hint="a member of the chain is missing, or of another server",
            )


def _put(source: Path, target: Path, place: Place, may_move: bool) -> None:
    if target.exists() and any(target.iterdir()):
        raise Conflict(f"{target} is not empty", hint="restore into a new directory")
    if may_move and moved(source, target):
        (target / MANIFEST_NAME).unlink()
    else:
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST_NAME))
    for root, directories, names in os.walk(target):
        give(Path(root), place.account)
        for name in (*directories, *names):
            give(Path(root, name), place.account)


async def _apply(program: str, target: Path, part: Path, place: Place) -> None:
    copy = target.with_name(f"{target.name}.incremental")
    await asyncio.to_thread(shutil.rmtree, copy, ignore_errors=True)  # of an attempt that was killed
    try:
        await asyncio.to_thread(_put, part, copy, place, False)
        await prepare_copy(program, target, copy, place)
    finally:
        await asyncio.to_thread(shutil.rmtree, copy, ignore_errors=True)


async def prepare_copy(program: str, target: Path, incremental: Path | None, place: Place) -> None:
    """Bring a copy to one moment, with a copy of an incremental one if there is any. Raises: CopyDamaged."""
    words = [*await dies_with_us(place.account), program, "--no-defaults", "--prepare", f"--target-dir={target}"]
    words += [f"--incremental-dir={incremental}"] if incremental else []
    try:
        done = await run(words, account=place.account, directory=target, timeout_seconds=_PREPARE_SECONDS, program=BACKUP)
    except ProgramFailed as error:
        raise CopyDamaged(
            f"the copy cannot be prepared: {error.message}", hint="verify the set; take another one", context=error.context
        ) from error
    if "completed OK!" not in done.stderr:
        raise CopyDamaged("mariadb-backup --prepare ended with 0 without saying that it is complete")


def _write_origin(target: Path, manifest: FileManifest, place: Place) -> None:
    path = target / _ORIGIN
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump(manifest.facts, file)
    give(path, place.account)
