"""Sets and log files go into a vault and come out as they were."""

from pathlib import Path

import pytest
from vault_kit import SYSTEM, document, ground, log_file, make_copy, record, tree

from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.vault.errors import IndexBroken
from dbre.capabilities.backup.vault.opening import open_document
from dbre.capabilities.backup.vault.records import log_of, log_value, set_of, set_value
from dbre.ports.backup.errors import LogConflict


async def test_a_set_comes_out_as_it_went_in_and_is_in_the_catalog(tmp_path: Path) -> None:
    copy = make_copy(tmp_path / "copy")
    one = record(copy)
    async with open_document(ground(tmp_path), document(tmp_path), part_bytes=64_000) as vault:
        stored = await vault.put_set(one, copy)
        await vault.fetch_set(one.id, tmp_path / "back")
        await vault.fetch_manifest(one.id, tmp_path / "manifest")
        catalog = await vault.catalog("orders")
    assert tree(tmp_path / "back") == tree(copy)
    assert (tmp_path / "manifest").read_bytes() == (copy / "backup_manifest").read_bytes()
    (found,) = catalog.sets
    assert (found.id, found.state, found.vaults, found.stop) == (one.id, SetState.SEALED, ("cellar",), one.stop)
    assert found.bytes_stored == stored.bytes_stored == sum(path.stat().st_size for path in (tmp_path / "vault").rglob("*.age"))
    recipients = document(tmp_path).recipients
    assert found.details == one.details | {"recipients": {"cellar": recipients}}
    assert list(stored.recipients) == recipients
    assert len(list((tmp_path / "vault").rglob("data-*"))) > 3


async def test_log_comes_out_as_it_went_in_and_an_absent_one_is_told_for_certain(tmp_path: Path) -> None:
    file = log_file(tmp_path / "segment")
    async with open_document(ground(tmp_path), document(tmp_path)) as vault:
        assert await vault.fetch_log(SYSTEM, file.name, tmp_path / "back") is False
        await vault.put_log("orders", SYSTEM, file, tmp_path / "segment")
        await vault.put_log("orders", SYSTEM, file, tmp_path / "segment")
        assert await vault.fetch_log(SYSTEM, file.name, tmp_path / "back") is True
        assert await vault.fetch_log("another system", file.name, tmp_path / "other") is False
        other = log_file(tmp_path / "other", file.name, data=b"other contents")
        with pytest.raises(LogConflict, match="other contents"):
            await vault.put_log("orders", SYSTEM, other, tmp_path / "other")
        catalog = await vault.catalog("orders")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "segment").read_bytes()
    assert [one.file for one in catalog.logs] == [file]
    assert not list((tmp_path / "vault" / "staging").iterdir())
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "vault").rglob("*"))


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "..", "a/b", "", "a\0b", "-rf"])
def test_an_index_that_names_other_places_is_not_believed(tmp_path: Path, name: str) -> None:
    value = set_value(record(make_copy(tmp_path / "copy")))
    with pytest.raises(IndexBroken, match="no name of ours"):
        set_of(value | {"id": name}, vault="cellar", bytes_stored=0, lock_until=None)
    with pytest.raises(IndexBroken, match="no name of ours"):
        log_of(log_value(log_file(tmp_path / "segment")) | {"name": name})
