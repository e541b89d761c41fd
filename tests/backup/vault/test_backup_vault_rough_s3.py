"""What networks and services do to a vault in a bucket is one clear error, or nothing at all."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rough_s3_kit import Door, door
from vault_kit import document, s3_values

from dbre.capabilities.backup.vault.opening import storage_of
from dbre.capabilities.backup.vault.storage import Storage, unhurried
from dbre.core.errors import DbreError, Denied, Unreachable

KEY = "v1/a/log/x"
DATA = os.urandom(3_000_000)


@pytest.fixture
def way(s3_endpoint: str) -> Iterator[Door]:
    with door(s3_endpoint) as one:
        yield one


@pytest.fixture
async def storage(way: Door, s3_client, tmp_path: Path):
    bucket = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:32]
    s3_client.create_bucket(Bucket=bucket)
    one = await storage_of(document(tmp_path, **s3_values(tmp_path, way.url, bucket)))
    yield one
    one.close()


def put(storage: Storage, path: Path, data: bytes = DATA) -> None:
    path.write_bytes(data)
    storage.put(KEY, path, sha256=hashlib.sha256(data).hexdigest(), retain_until=None, pace=unhurried)


def test_what_passes_is_not_noticed(storage: Storage, way: Door, tmp_path: Path) -> None:
    assert storage.look(KEY) is None
    way.plan("PUT", "slow")
    put(storage, tmp_path / "data")
    way.plan("GET", "cut", times=3)
    storage.get(KEY, tmp_path / "back", version_id=None, limit=len(DATA), pace=unhurried)
    assert (tmp_path / "back").read_bytes() == DATA
    ranges = [int(one.partition("bytes=")[2].rstrip("-")) for one in way.seen if "bytes=" in one]
    assert len(ranges) == 3
    assert ranges == sorted(set(ranges)), "it goes on where it was cut"


def test_a_put_whose_answer_was_lost_finds_its_own_object(storage: Storage, way: Door, tmp_path: Path) -> None:
    assert storage.look(KEY) is None
    way.plan("PUT", "lost")
    put(storage, tmp_path / "data")
    assert storage.read(KEY, limit=len(DATA)) == DATA


@pytest.mark.parametrize(
    ("plan", "kind", "words", "hint"),
    [
        ("slow", Unreachable, "SlowDown: Please reduce", "overloaded or out of order"),
        ("skewed", Unreachable, "RequestTimeTooSkewed", "the clock of this machine"),
        ("unknown-key", Denied, "InvalidAccessKeyId", "vaults.access_key names no user"),
        ("wrong-key", Denied, "SignatureDoesNotMatch", "vaults.secret_key does not belong"),
    ],
    ids=["slow", "skewed", "unknown-key", "wrong-key"],
)
def test_what_does_not_pass_is_one_error_with_a_remedy(
    storage: Storage, way: Door, tmp_path: Path, plan: str, kind: type[DbreError], words: str, hint: str
) -> None:
    assert storage.look(KEY) is None
    way.plan("PUT", plan, times=20)
    with pytest.raises(kind, match=words) as caught:
        put(storage, tmp_path / "data", b"x")
    assert hint in (caught.value.hint or "")
    assert "write v1/a/log/x to s3://" in caught.value.message
    way.plans.clear()
    assert storage.look(KEY) is None


def test_connections_that_bring_nothing_end_it(storage: Storage, way: Door, tmp_path: Path) -> None:
    put(storage, tmp_path / "data", b"x")
    assert storage.look(KEY) is not None
    way.plan("GET", "cut", times=20)  # half of one byte is nothing
    with pytest.raises(Unreachable, match="cannot read v1/a/log/x of s3://"):
        storage.get(KEY, tmp_path / "back", version_id=None, limit=1, pace=unhurried)
