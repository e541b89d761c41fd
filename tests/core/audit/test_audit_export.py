"""The log as files that other tools read."""

import base64
import hashlib
from pathlib import Path

import pytest
from audit_kit import draft, read_all, tamper

from dbre.core.audit.checkpoint import read_checkpoint
from dbre.core.audit.checkpoints import checkpoint_now
from dbre.core.audit.errors import EntryMissing, ProofInvalid
from dbre.core.audit.export import ExportForm, export_log, tile_path
from dbre.core.audit.log import AuditLog
from dbre.core.audit.signed_note import SigningKey
from dbre.core.errors import UsageError
from dbre.core.store import Store
from dbre.testing.clock import FakeClock

KEY = SigningKey.generate("log.example/audit")
CLOCK = FakeClock()
LOG = AuditLog(CLOCK)


async def fill(store: Store, count: int) -> None:
    for start in range(0, count, 5000):
        await LOG.append(store, *(draft(number) for number in range(start, min(count, start + 5000))))
    await checkpoint_now(store, KEY, CLOCK)


class Tiles:
    """A reader of tlog-tiles that knows nothing of how they were made."""

    def __init__(self, directory: Path, size: int) -> None:
        self.directory, self.size = directory, size

    def path(self, level: int | str, index: int) -> Path:
        count = self.size >> (8 * level if isinstance(level, int) else 0)
        width = min(count - 256 * index, 256)
        name = "".join(f"/x{part:03}" for part in self._groups(index)[:-1]) + f"/{self._groups(index)[-1]:03}"
        return self.directory / "tile" / (f"{level}{name}" + ("" if width == 256 else f".p/{width}"))

    def _groups(self, index: int) -> list[int]:
        groups = [index % 1000]
        while index := index // 1000:
            groups.insert(0, index % 1000)
        return groups

    def entries(self) -> list[bytes]:
        found = []
        for index in range((self.size + 255) // 256):
            data = self.path("entries", index).read_bytes()
            while data:
                length = int.from_bytes(data[:2], "big")
                found.append(data[2 : 2 + length])
                data = data[2 + length :]
        return found

    def hashes(self, level: int) -> list[bytes]:
        count = self.size >> 8 * level
        data = b"".join(self.path(level, index).read_bytes() for index in range((count + 255) // 256))
        return [data[at : at + 32] for at in range(0, len(data), 32)]


def root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(leaves[:split]) + root(leaves[split:])).digest()


@pytest.mark.parametrize("count", [1, 255, 256, 257, 600])
async def test_tiles_hold_every_entry_and_every_hash(store: Store, count: int, tmp_path: Path) -> None:
    await fill(store, count)
    done = await export_log(store, KEY.verifier, form=ExportForm.TILES, out=tmp_path / "out")
    tiles = Tiles(tmp_path / "out", count)
    assert tiles.entries() == [one.text.encode() for one in await read_all(store)]
    leaves = [hashlib.sha256(b"\x00" + one).digest() for one in tiles.entries()]
    assert tiles.hashes(0) == leaves
    assert tiles.hashes(1) == [root(leaves[at : at + 256]) for at in range(0, count // 256 * 256, 256)]
    assert root(leaves) == done.checkpoint.root
    assert sum(1 for one in (tmp_path / "out").rglob("*") if one.is_file()) == done.files_count


@pytest.mark.slow
async def test_tiles_of_three_levels(file_place, tmp_path: Path) -> None:
    count = 65_536 + 300
    async with file_place.open(migrate=True) as store:
        await fill(store, count)
        await export_log(store, KEY.verifier, form=ExportForm.TILES, out=tmp_path / "out")
    tiles = Tiles(tmp_path / "out", count)
    leaves = tiles.hashes(0)
    assert len(leaves) == count
    assert tiles.hashes(1) == [root(leaves[at : at + 256]) for at in range(0, 65_536 + 256, 256)]
    assert tiles.hashes(2) == [root(leaves[:65_536])]


async def test_lines_are_the_entries_and_the_checkpoint_is_beside_them(store: Store, tmp_path: Path) -> None:
    await fill(store, 20)
    await LOG.append(store, draft(20))  # not signed yet, so not exported
    await export_log(store, KEY.verifier, form=ExportForm.JSONL, out=tmp_path / "out")
    lines = (tmp_path / "out" / "entries.jsonl").read_text().splitlines()
    assert lines == [one.text for one in await read_all(store)][:20]
    found = read_checkpoint((tmp_path / "out" / "checkpoint").read_text(), KEY.verifier)
    assert (found.size, base64.b64encode(found.root)) != (0, b"")
    assert (tmp_path / "out" / "verifier.key").read_text() == f"{KEY.verifier}\n"


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("DELETE FROM audit_entry WHERE entry_index = 7", EntryMissing),
        ("DELETE FROM audit_entry WHERE entry_index > 7", EntryMissing),
        ("UPDATE audit_entry SET entry = '{}' WHERE entry_index = 7", ProofInvalid),
    ],
)
async def test_a_log_that_does_not_fit_its_checkpoint_is_not_exported(
    store: Store, tmp_path: Path, statement: str, error: type[Exception]
) -> None:
    await fill(store, 20)
    await tamper(store, statement)
    with pytest.raises(error):
        await export_log(store, KEY.verifier, form=ExportForm.TILES, out=tmp_path / "out")
    assert list(tmp_path.glob("out*")) == []


async def test_what_exists_is_not_written_over(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint yet"):
        await export_log(store, KEY.verifier, form=ExportForm.JSONL, out=tmp_path / "out")
    await fill(store, 1)
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        await export_log(store, KEY.verifier, form=ExportForm.JSONL, out=tmp_path / "out")


def test_paths_are_those_of_the_specification() -> None:
    assert tile_path(1_234_067) == "x001/x234/067"
    assert tile_path(273, 16) == "273.p/16"
