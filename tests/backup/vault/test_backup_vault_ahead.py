"""Parts of a set are fetched by several threads ahead of who unpacks them: in order, a few at a time, and nothing is left."""

import hashlib
import threading
from pathlib import Path

import pytest
from vault_kit import document, ground, make_copy, record, s3_values, tree

from dbre.capabilities.backup.vault.ahead import AHEAD
from dbre.capabilities.backup.vault.errors import ObjectDamaged
from dbre.capabilities.backup.vault.opening import open_document
from dbre.capabilities.backup.vault.s3 import S3Storage

PART = 40_000


@pytest.fixture
def bucket(s3_client, s3_endpoint: str, tmp_path: Path):
    name = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:32]
    s3_client.create_bucket(Bucket=name)
    return document(tmp_path, **s3_values(tmp_path, s3_endpoint, name))


async def test_some_parts_are_fetched_at_once_and_few_lie_here(bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = make_copy(tmp_path / "copy")
    one, lock = record(copy), threading.Lock()
    staging = tmp_path / "backup" / "vaults" / "cellar" / "staging"
    together, running, most_files = 0, 0, 0
    get = S3Storage.get
    gate = threading.Barrier(AHEAD)  # the first ones wait for each other: one after the other, they never would come

    def watched(self: S3Storage, key: str, into: Path, **given: object) -> None:
        nonlocal together, running, most_files
        with lock:
            running += 1
            together, most_files = max(together, running), max(most_files, len(list(staging.iterdir())))
        if "/data-" in key and not gate.broken and "data-0000" in key and int(key.rpartition("data-")[2][:5]) < AHEAD:
            gate.wait(60)
        get(self, key, into, **given)  # type: ignore[arg-type]
        with lock:
            running -= 1

    async with open_document(ground(tmp_path), bucket, part_bytes=PART) as vault:
        await vault.put_set(one, copy)
        monkeypatch.setattr(S3Storage, "get", watched)
        await vault.fetch_set(one.id, tmp_path / "back")
    assert tree(tmp_path / "back") == tree(copy)
    assert together == AHEAD
    assert most_files <= AHEAD + 1
    assert list(staging.iterdir()) == []


async def test_a_damaged_part_ends_all_threads_and_leaves_nothing(bucket, s3_client, tmp_path: Path) -> None:
    copy = make_copy(tmp_path / "copy")
    one = record(copy)
    async with open_document(ground(tmp_path), bucket, part_bytes=PART) as vault:
        await vault.put_set(one, copy)
        found = s3_client.list_objects_v2(Bucket=bucket.bucket)["Contents"]
        key = next(item["Key"] for item in found if "data-00004" in item["Key"])
        body = s3_client.get_object(Bucket=bucket.bucket, Key=key)["Body"].read()
        s3_client.put_object(Bucket=bucket.bucket, Key=key, Body=body[:-1] + bytes([body[-1] ^ 1]))
        with pytest.raises(ObjectDamaged, match="data-00004"):
            await vault.fetch_set(one.id, tmp_path / "back")
        with pytest.raises(ObjectDamaged, match="data-00004"):
            await vault.read_through(one.id)
    assert list((tmp_path / "backup" / "vaults" / "cellar" / "staging").iterdir()) == []
    assert not [one for one in threading.enumerate() if one.name.startswith(("dbre-fetch", "dbre-unpack"))]
