"""The copies below a directory: each one that has a manifest, with what its own files say of it."""

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.text import printable, quoted
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import CopyFacts, Problem

__all__ = ["Copy", "chain_of", "copy_directories", "find_copies", "parent_label"]

_LABEL, _MANIFEST = "backup_label", "backup_manifest"
_TAR = ("base.tar", "base.tar.gz", "base.tar.zst", "base.tar.lz4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One directory that ``pg_basebackup`` wrote."""

    label: str  # name of the directory
    path: Path
    facts: CopyFacts
    stands_on: str | None  # where its parent begins; None: a full copy


def copy_directories(root: Path) -> list[Path]:
    """Directories that look like copies. Raises: UsageError where the directory cannot be read."""
    names = (_LABEL, _MANIFEST, *_TAR)
    try:
        if _has(root, names):
            return [root]
        return sorted(one for one in root.iterdir() if one.is_dir() and not one.is_symlink() and _has(one, names))
    except OSError as error:
        raise UsageError(
            f"{root} cannot be read: {error.strerror or error}", hint="--stanza /DIRECTORY of a copy, or of several"
        ) from error


async def find_copies(root: Path, port: BackupPort) -> tuple[tuple[Copy, ...], tuple[Problem, ...]]:
    """The copies, oldest first, and what looks like one and is none. Raises: UsageError where the directory cannot be read."""
    copies, problems = [], []
    for path in await asyncio.to_thread(copy_directories, root):
        try:
            copies.append(await _read(path, port))
        except CopyDamaged as error:
            problems.append(_no_copy(path, error))
    return tuple(sorted(copies, key=lambda one: (one.facts.stopped_at, one.label))), tuple(problems)


def parent_label(copies: Iterable[Copy], one: Copy) -> str | None:
    """The label of what an incremental copy stands on; where that is not here, in words."""
    if one.stands_on is None:
        return None
    return next(
        (other.label for other in _before(copies, one)),
        f"a copy that begins at {one.stands_on}",
    )


def chain_of(copies: Sequence[Copy], label: str) -> list[Copy]:
    """A full copy and the incremental ones up to the one of that label. Raises: UsageError, CopyDamaged."""
    found = next((one for one in copies if one.label == label), None)
    if found is None:
        raise UsageError(f"there is no copy {quoted(label, limit=100)}", hint="dbre backup inspect pg_basebackup shows them")
    chain = [found]
    while chain[0].stands_on is not None:
        parent = next(_before(copies, chain[0]), None)
        if parent is None:
            raise CopyDamaged(
                f"copy {printable(chain[0].label, limit=100)} stands on one that begins at {chain[0].stands_on}, "
                "and that is not there",
                hint="put the parent beside it",
            )
        chain.insert(0, parent)
    return chain


async def _read(path: Path, port: BackupPort) -> Copy:
    if _has(path, _TAR):
        raise CopyDamaged("it is packed (pg_basebackup -Ft)", hint="unpack base.tar into it, and pg_wal.tar into its pg_wal")
    facts = await port.facts(path)
    return Copy(label=path.name, path=path, facts=facts, stands_on=facts.details.get("incremental_from"))


def _before(copies: Iterable[Copy], one: Copy) -> Iterator[Copy]:
    """Copies that an incremental one can stand on; it ended after they did, so no chain runs in a circle."""
    for other in copies:
        begins, mine = other.facts.start, one.facts.start
        if begins is None or mine is None or begins.value >= mine.value or other.facts.system_id != one.facts.system_id:
            continue
        if begins.text == one.stands_on:
            yield other


def _has(path: Path, names: Iterable[str]) -> bool:
    return any(os.path.lexists(path / name) for name in names)


def _no_copy(path: Path, error: CopyDamaged) -> Problem:
    return Problem(
        rule="backup.no_copy",
        message=f"{printable(path.name, limit=100)} is no copy that can be restored: {printable(error.message, limit=300)}",
        hint=error.hint or "remove it, or look for another copy of it",
        is_blocking=True,
    )
