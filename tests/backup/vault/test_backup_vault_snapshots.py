"""A long index is read from its newest snapshot on, and what is wrong with snapshots or before them is noticed all the same."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from vault_kit import SYSTEM, document, ground, log_file

from dbre.capabilities.backup.vault import snapshots
from dbre.capabilities.backup.vault.errors import IndexBroken
from dbre.capabilities.backup.vault.opening import open_document
from dbre.capabilities.backup.vault.vault import Vault

LOGS = 40


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "_SHORTEST", 8)


async def _put(vault: Vault, tmp_path: Path, first: int, count: int) -> None:
    for number in range(first, first + count):
        file = log_file(tmp_path / "log", f"0000000100000000{number:08X}", data=f"log {number}".encode())
        await vault.put_log("orders", SYSTEM, file, tmp_path / "log")


@pytest.fixture
async def root(tmp_path: Path, _often: None) -> Path:
    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        await _put(vault, tmp_path, 0, LOGS)
    return tmp_path / "vault" / "v1" / SYSTEM


async def test_it_is_read_from_the_snapshot_on_and_comes_to_the_same(root: Path, tmp_path: Path) -> None:
    newest = max((root / "snapshots").iterdir())
    begin = int(newest.name[:10])
    assert begin > LOGS // 2
    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        whole = await vault.catalog()
        await _put(vault, tmp_path, LOGS, 1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(root / "index" / "0000000003.note", tmp_path / "taken")  # a fresh machine never asks for it
    async with open_document(ground(elsewhere), document(tmp_path)) as vault:
        catalog = await vault.catalog()
        assert [one.file for one in catalog.logs[:-1]] == [one.file for one in whole.logs]
        assert len(catalog.logs) == LOGS + 1
        assert {one.rule for one in await vault.verify(deep=True)} == {"index"}
    shutil.move(tmp_path / "taken", root / "index" / "0000000003.note")
    async with open_document(ground(elsewhere), document(tmp_path)) as vault:
        assert await vault.verify(deep=True) == []


async def test_a_changed_or_made_up_snapshot_is_passed_over(root: Path, tmp_path: Path) -> None:
    for path in (root / "snapshots").iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    (root / "snapshots" / "0000000009-0000000000000000.json.zst").write_bytes(b"made up")
    (root / "snapshots" / "9999999999-0000000000000000.json.zst").write_bytes(b"made up")
    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        assert len((await vault.catalog()).logs) == LOGS


async def test_a_fork_before_the_snapshot_is_noticed_by_who_saw_the_other_branch(root: Path, tmp_path: Path) -> None:
    """A second vault with the same name and id, grown by another machine from entry 5 on, is put in place of the first."""
    for path in sorted((root / "index").iterdir())[5:]:
        path.unlink()
    shutil.rmtree(root / "snapshots")
    other = tmp_path / "other-machine"
    other.mkdir()
    async with open_document(ground(other), document(tmp_path)) as vault:
        await _put(vault, tmp_path, 1_000, 3 * LOGS)
    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        with pytest.raises(IndexBroken, match="forked"):
            await vault.catalog()


async def test_deleted_log_is_forgotten_in_snapshots_and_deleting_it_again_harms_nothing(root: Path, tmp_path: Path) -> None:
    names = [f"0000000100000000{number:08X}" for number in range(LOGS // 2)]
    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        await vault.tombstone([], names, "old", system_id=SYSTEM)
        await vault.delete([], names, system_id=SYSTEM, grace=timedelta(0))
        await _put(vault, tmp_path, 2_000, LOGS)
    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        assert len([one for one in (await vault.catalog()).logs if one.vaults]) == LOGS // 2 + LOGS
        assert await vault.fetch_log(SYSTEM, names[0], tmp_path / "back") is False
        assert await vault.verify(deep=True) == []
