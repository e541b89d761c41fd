"""The log as files: a JSON line each entry, or the tiles of C2SP tlog-tiles that other tools read.

Source of the layout: https://c2sp.org/tlog-tiles.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from dbre.core.audit.checkpoint import Checkpoint
from dbre.core.audit.checkpoints import latest_checkpoint
from dbre.core.audit.errors import EntryMissing, ProofInvalid
from dbre.core.audit.rows import RawRow, raw_rows
from dbre.core.audit.signed_note import VerifierKey
from dbre.core.audit.tree import Frontier, leaf_hash
from dbre.core.errors import UsageError
from dbre.core.store import Store
from dbre.core.text import printable

__all__ = ["ExportForm", "Exported", "export_log", "tile_path"]

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
_CHUNK = 1024


class ExportForm(StrEnum):
    """How the log is written."""

    JSONL = "jsonl"
    TILES = "tiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    checkpoint: Checkpoint
    files_count: int


class _Writer(Protocol):
    def add(self, entry: bytes, completed: Sequence[bytes]) -> None: ...

    def finish(self) -> None: ...


async def export_log(store: Store, key: VerifierKey, *, form: ExportForm, out: Path) -> Exported:
    """Write the log up to its newest checkpoint into a directory that does not exist yet.

    The tree is recomputed on the way, and the directory appears under its name when all fits the checkpoint.

    Raises: UsageError for a directory that exists or a log that was never signed; EntryMissing, ProofInvalid where the log
    does not fit its checkpoint; NoteInvalid; a StoreError.
    """
    async with store.read() as connection:
        checkpoint = await latest_checkpoint(connection, key)
    if checkpoint is None:
        raise UsageError("the audit log has no checkpoint yet, so nothing of it can be proved", hint="dbre audit checkpoint")
    part = _begin(out)
    try:
        writer: _Writer = _Tiles(part) if form is ExportForm.TILES else _Lines(part)
        await _write_entries(store, writer, checkpoint)
        return Exported(checkpoint=checkpoint, files_count=_end(part, out, checkpoint, key))
    except OSError as error:
        raise UsageError(f"{printable(str(out))} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _begin(out: Path) -> Path:
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    if out.exists():
        raise UsageError(f"{printable(str(out))} exists already", hint="name a directory that does not")
    try:
        part.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{printable(str(part))} cannot be made: {error.strerror}") from error
    return part


def _end(part: Path, out: Path, checkpoint: Checkpoint, key: VerifierKey) -> int:
    (part / "checkpoint").write_text(str(checkpoint))
    (part / "verifier.key").write_text(f"{key}\n")
    part.rename(out)
    return sum(1 for one in out.rglob("*") if one.is_file())


async def _write_entries(store: Store, writer: _Writer, checkpoint: Checkpoint) -> None:
    frontier = Frontier()
    while frontier.size < checkpoint.size:
        limit = min(_CHUNK, checkpoint.size - frontier.size)
        async with store.read() as connection:
            rows = await raw_rows(connection, start=frontier.size, limit=limit)
        await asyncio.to_thread(_write_rows, rows, writer, frontier)
        if len(rows) < limit:
            raise EntryMissing(
                f"the audit log ends at {frontier.size} of {checkpoint.size} signed entries", hint="dbre audit verify"
            )
    await asyncio.to_thread(writer.finish)
    if frontier.root() != checkpoint.root:
        raise ProofInvalid("the entries do not have the root that was signed", hint="dbre audit verify shows where they differ")


def _write_rows(rows: Sequence[RawRow], writer: _Writer, frontier: Frontier) -> None:
    for row in rows:
        if row.index != frontier.size or not isinstance(row.entry, bytes):
            raise EntryMissing(f"the audit log lacks entry {frontier.size}", hint="dbre audit verify")
        writer.add(row.entry, frontier.append(leaf_hash(row.entry)))


class _Lines:
    """``entries.jsonl``: the canonical JSON of one entry a line."""

    def __init__(self, directory: Path) -> None:
        self._file = (directory / "entries.jsonl").open("wb")

    def add(self, entry: bytes, completed: Sequence[bytes]) -> None:  # noqa: ARG002 (tiles need it)
        self._file.write(entry + b"\n")

    def finish(self) -> None:
        self._file.close()


class _Tiles:
    """Hash tiles and entry bundles, each of 256; the last of each level is partial."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "tile"
        self._bundle = bytearray()
        self._levels: list[bytearray] = []
        self._count = 0

    def add(self, entry: bytes, completed: Sequence[bytes]) -> None:
        self._bundle += len(entry).to_bytes(2) + entry
        self._count += 1
        for level, node in enumerate(completed[::TILE_HEIGHT]):
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += node
        self._write_full()

    def finish(self) -> None:
        for level, name, data in self._open():
            index, width = divmod(self._count >> TILE_HEIGHT * level, TILE_WIDTH)
            if width:
                self._write(name, tile_path(index, width), data)

    def _write_full(self) -> None:
        if self._count % TILE_WIDTH:
            return
        for level, name, data in self._open():
            nodes = self._count >> TILE_HEIGHT * level
            if nodes % TILE_WIDTH == 0 and data:
                self._write(name, tile_path(nodes // TILE_WIDTH - 1), data)
                data.clear()

    def _open(self) -> Iterator[tuple[int, str, bytearray]]:
        yield 0, "entries", self._bundle
        for level, data in enumerate(self._levels):
            yield level, str(level), data

    def _write(self, name: str, path: str, data: bytes | bytearray) -> None:
        place = self._directory / name / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def tile_path(index: int, width: int = TILE_WIDTH) -> str:
    """Where a tile is below its level: groups of three digits, all but the last with an x; a partial tile says its width.

    >>> tile_path(1234067), tile_path(0, 5)
    ('x001/x234/067', '000.p/5')
    """
    path = f"{index % 1000:03}"
    while index := index // 1000:
        path = f"x{index % 1000:03}/{path}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"
