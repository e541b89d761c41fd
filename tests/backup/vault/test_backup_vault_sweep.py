"""What interrupted backups left in a vault is swept after a day; what an entry names, or may come to be named, stays."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from vault_kit import SYSTEM, document, ground, log_file, make_copy, record

from dbre.capabilities.backup.vault.errors import IndexBroken, ObjectMissing
from dbre.capabilities.backup.vault.opening import open_document
from dbre.core.errors import Denied
from dbre.testing.clock import FakeClock


def age(root: Path, days: float) -> None:
    then = (FakeClock().now() - timedelta(days=days)).timestamp()
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def stray(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"ciphertext")
    return path


async def test_only_what_is_old_and_named_by_nothing_is_swept(tmp_path: Path) -> None:
    root, local = tmp_path / "vault", tmp_path / "backup" / "vaults" / "cellar" / "staging"
    copy, file = make_copy(tmp_path / "copy"), log_file(tmp_path / "segment")
    one = record(copy)
    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        await vault.put_set(one, copy)
        await vault.put_log("orders", SYSTEM, file, tmp_path / "segment")
        sets, logs = root / "v1" / SYSTEM / "sets", root / "v1" / SYSTEM / "log" / "00000001"
        gone = [
            stray(sets / "abandoned" / "data-00000-0123456789abcdef.tar.zst.age"),
            stray(sets / one.id / "data-00007-0123456789abcdef.tar.zst.age"),
            stray(logs / "0000000100000000000000AA-0123456789abcdef.zst.age"),
            stray(root / "staging" / "0123456789abcdef.part"),
            stray(local / "0123456789abcdef.part"),
        ]
        unfinished = stray(sets / "unfinished" / "data-00000-0123456789abcdef.tar.zst.age")
        growing = [stray(sets / "growing" / f"data-0000{number}-0123456789abcdef.tar.zst.age") for number in (0, 1)]
        age(root, 2)
        age(local, 2)
        os.utime(growing[1])
        fresh = [stray(root / "staging" / "fedcba9876543210.part"), stray(local / "fedcba9876543210.part")]
        swept = await vault.sweep(unfinished=["unfinished"])
        assert (swept.objects, swept.bytes) == (4, 40)
        assert not any(path.exists() for path in gone)
        assert all(path.exists() for path in (unfinished, *growing, *fresh))
        assert len(swept.left) == 2
        assert await vault.verify(deep=True) == []
        assert (await vault.sweep(unfinished=["unfinished"])).objects == 0


async def test_an_index_whose_end_was_cut_off_sweeps_nothing(tmp_path: Path) -> None:
    copy = make_copy(tmp_path / "copy")
    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        await vault.put_set(record(copy), copy)
    age(tmp_path / "vault", 2)
    before = sorted(path for path in (tmp_path / "vault").rglob("*.age"))
    shutil.rmtree(tmp_path / "vault" / "v1" / SYSTEM / "index")
    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        with pytest.raises(IndexBroken):
            await vault.sweep(unfinished=[])
    async with open_document(ground(tmp_path / "copy"), document(tmp_path)) as stranger:
        swept = await stranger.sweep(unfinished=[])
        assert swept.objects == 0
        assert "never saw its index" in swept.left[0]
    assert sorted(path for path in (tmp_path / "vault").rglob("*.age")) == before


async def test_who_may_not_delete_or_trusts_nobody_sweeps_nothing(tmp_path: Path) -> None:
    async with open_document(ground(tmp_path), document(tmp_path, can_delete=False)) as vault:
        with pytest.raises(Denied, match="can_delete"):
            await vault.sweep(unfinished=[])
    async with open_document(ground(tmp_path, key=None), document(tmp_path)) as vault:
        with pytest.raises(Denied, match="whose entries count"):
            await vault.sweep(unfinished=[])


async def test_a_set_is_not_sealed_over_a_part_that_went_away_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbre.capabilities.backup.vault import putting

    copy = make_copy(tmp_path / "copy")
    stow = putting.stow_manifest

    def after_a_sweep(*given: object) -> object:
        next((tmp_path / "vault").rglob("data-*")).unlink()
        return stow(*given)  # type: ignore[arg-type]

    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        with monkeypatch.context() as patch:
            patch.setattr(putting, "stow_manifest", after_a_sweep)
            with pytest.raises(ObjectMissing):
                await vault.put_set(record(copy), copy)
        assert (await vault.catalog()).sets == ()
