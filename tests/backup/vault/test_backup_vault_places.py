"""Every place does the same: what is put there is whole, is never overwritten, and comes back."""

import asyncio
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from vault_kit import SYSTEM, SshServer, document, ground, log_file, make_copy, record, s3_values, tree

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.vault.errors import KeyTaken, ObjectDamaged, ObjectMissing, VaultUnusable
from dbre.capabilities.backup.vault.opening import open_document, storage_of
from dbre.capabilities.backup.vault.storage import Storage, unhurried
from dbre.core.errors import Denied, Unreachable

PLACES = ("directory", "bucket", "versioned-bucket", "ssh")


@pytest.fixture(params=PLACES)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> VaultDocument:
    if request.param == "directory":
        return document(tmp_path)
    if request.param == "ssh":
        server: SshServer = request.getfixturevalue("ssh_server")
        return document(tmp_path, **server.values(tmp_path / "far"))
    client = request.getfixturevalue("s3_client")
    bucket = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:32]
    client.create_bucket(Bucket=bucket)
    if request.param == "versioned-bucket":
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return document(tmp_path, **s3_values(tmp_path, request.getfixturevalue("s3_endpoint"), bucket))


@pytest.fixture
async def storage(place: VaultDocument) -> AsyncIterator[Storage]:
    one = await storage_of(place)
    yield one
    one.close()


def _put(storage: Storage, key: str, path: Path) -> str | None:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return storage.put(key, path, sha256=sha256, retain_until=None, pace=unhurried)


def test_nothing_is_overwritten(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"first" * 100_000)
    (tmp_path / "two").write_bytes(b"second")
    _put(storage, "v1/a/b%2F.age", tmp_path / "one")
    with pytest.raises(KeyTaken):
        _put(storage, "v1/a/b%2F.age", tmp_path / "two")
    with pytest.raises(KeyTaken):
        storage.put_bytes("v1/a/b%2F.age", b"third", retain_until=None)
    storage.get("v1/a/b%2F.age", tmp_path / "back", version_id=None, limit=1_000_000, pace=unhurried)
    assert (tmp_path / "back").read_bytes() == b"first" * 100_000
    assert [one.key for one in storage.walk("staging/")] == []


def test_what_is_absent_is_told_apart_from_what_cannot_be_asked(storage: Storage, tmp_path: Path) -> None:
    assert storage.look("v1/none") is None
    assert list(storage.walk("v1/")) == []
    assert storage.folders("v1/") in ((), [])
    with pytest.raises(ObjectMissing):
        storage.read("v1/none", limit=10)
    with pytest.raises(ObjectMissing):
        storage.get("v1/none", tmp_path / "back", version_id=None, limit=10, pace=unhurried)
    storage.delete("v1/none", version_id=None)


def test_objects_are_listed_in_order_limited_and_deleted(storage: Storage, tmp_path: Path) -> None:
    for key in ("v1/b/2", "v1/a/1", "v1/a/0/x"):
        storage.put_bytes(key, key.encode(), retain_until=None)
    assert [(one.key, one.size) for one in storage.walk("v1/")] == [("v1/a/0/x", 8), ("v1/a/1", 6), ("v1/b/2", 6)]
    assert list(storage.folders("v1/")) == ["v1/a/", "v1/b/"]
    assert storage.read("v1/b/2", limit=6) == b"v1/b/2"
    with pytest.raises(ObjectDamaged, match="5"):
        storage.read("v1/b/2", limit=5)
    with pytest.raises(ObjectDamaged, match="5"):
        storage.get("v1/b/2", tmp_path / "back", version_id=None, limit=5, pace=unhurried)
    found = storage.look("v1/b/2")
    assert found is not None
    storage.delete("v1/b/2", version_id=found.version_id)
    assert storage.look("v1/b/2") is None
    assert [one.key for one in storage.walk("v1/b/")] == []


async def test_a_set_and_log_come_back_from_every_place(place: VaultDocument, tmp_path: Path) -> None:
    copy = make_copy(tmp_path / "copy")
    one, file = record(copy), log_file(tmp_path / "segment")
    async with open_document(ground(tmp_path), place, part_bytes=200_000) as vault:
        await vault.put_set(one, copy)
        await vault.put_log("orders", SYSTEM, file, tmp_path / "segment")
    async with open_document(ground(tmp_path), place) as vault:
        await vault.fetch_set(one.id, tmp_path / "back")
        assert await vault.fetch_log(SYSTEM, file.name, tmp_path / "log")
        catalog = await vault.catalog()
    assert tree(tmp_path / "back") == tree(copy)
    assert (tmp_path / "log").read_bytes() == (tmp_path / "segment").read_bytes()
    assert [one.id for one in catalog.sets] == [one.id]


async def test_an_unknown_host_key_is_refused(ssh_server: SshServer, tmp_path: Path) -> None:
    other = " ".join((ssh_server.directory / "other.pub").read_text().split()[:2])
    one = await storage_of(document(tmp_path, **ssh_server.values(tmp_path / "far") | {"host_key": other}))
    with pytest.raises(Denied, match="another host key"):
        one.read("v1/vault.json", limit=10)


async def test_a_missing_mount_is_no_empty_vault(tmp_path: Path) -> None:
    place = document(tmp_path)
    (tmp_path / "vault").rmdir()
    async with open_document(ground(tmp_path), place) as vault:
        with pytest.raises(Unreachable, match="is not there"):
            await vault.fetch_log(SYSTEM, "0" * 24, tmp_path / "back")
        with pytest.raises(Unreachable, match="is not there"):
            await vault.catalog()
    assert not (tmp_path / "vault").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which only root may")
async def test_a_full_disk_of_a_vault_is_told_and_what_was_begun_is_gone(tmp_path: Path) -> None:
    cellar = document(tmp_path)
    size = ["-t", "tmpfs", "-o", "size=512k,mode=0700"]
    mounted = subprocess.run(["mount", *size, "tmpfs", cellar.path], capture_output=True, text=True, check=False)  # noqa: ASYNC221
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        copy = make_copy(tmp_path / "copy", size=4_000_000)
        async with open_document(ground(tmp_path), cellar) as vault:
            with pytest.raises(VaultUnusable, match=r"objects cannot be prepared in .*: No space left on device"):
                await vault.put_set(record(copy), copy)
            assert not list(Path(cellar.path).rglob("*.part"))
            small = make_copy(tmp_path / "small", size=1_000)
            await vault.put_set(record(small), small)  # and there is room again
    finally:
        subprocess.run(["umount", "-l", cellar.path], check=True)  # noqa: ASYNC221


async def test_a_link_in_a_vault_leads_nowhere(tmp_path: Path) -> None:
    storage = await storage_of(document(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "vault" / "v1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ObjectDamaged, match="link lies in the way"):
        storage.put_bytes("v1/a", b"x", retain_until=None)
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_a_full_disk_behind_sftp_is_told_and_nothing_bears_the_name(full_ssh_server: SshServer, tmp_path: Path) -> None:
    one = await storage_of(document(tmp_path, **full_ssh_server.values(tmp_path / "far")))
    data = tmp_path / "data"
    data.write_bytes(os.urandom(2 << 20))
    try:
        with pytest.raises(VaultUnusable):
            await asyncio.to_thread(one.put, "v1/a/log/x", data, sha256="", retain_until=None, pace=unhurried)
        assert one.look("v1/a/log/x") is None
        assert not list((tmp_path / "far" / "staging").iterdir())
        data.write_bytes(b"small")
        await asyncio.to_thread(one.put, "v1/a/log/x", data, sha256="", retain_until=None, pace=unhurried)
        assert one.read("v1/a/log/x", limit=10) == b"small"
    finally:
        one.close()


async def test_many_threads_may_use_one_connection(ssh_server: SshServer, tmp_path: Path) -> None:
    one = await storage_of(document(tmp_path, **ssh_server.values(tmp_path / "far")))
    found = [bytes([number]) * 100_000 for number in range(8)]
    try:
        for number, data in enumerate(found):
            one.put_bytes(f"v1/a/{number}", data, retain_until=None)
        for _ in range(5):
            reads = [asyncio.to_thread(one.read, f"v1/a/{number}", limit=200_000) for number in range(8)]
            assert await asyncio.wait_for(asyncio.gather(*reads), 60) == found
    finally:
        one.close()
