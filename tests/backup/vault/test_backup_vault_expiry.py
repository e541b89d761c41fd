"""What is in a vault goes in two phases, and not before its time."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from vault_kit import SYSTEM, document, ground, log_file, make_copy, record, s3_values

from dbre.capabilities.backup.documents import BackupDocument
from dbre.capabilities.backup.model import BackupSet, LogState, SetState
from dbre.capabilities.backup.vault.errors import NotInVault, ObjectMissing, StillLocked
from dbre.capabilities.backup.vault.expiring import Settled
from dbre.capabilities.backup.vault.opening import open_document
from dbre.capabilities.backup.vault.storage import LockStrength
from dbre.capabilities.backup.vault.vault import Vault
from dbre.core.clock import SystemClock
from dbre.core.errors import Denied
from dbre.core.fleet import Cluster, Fleet, TlsMode
from dbre.ports.backup.model import CopyKind
from dbre.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
async def vault(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Vault]:
    async with open_document(ground(tmp_path, clock=clock), document(tmp_path)) as one:
        yield one


async def _put(vault: Vault, tmp_path: Path, **changes: object) -> BackupSet:
    copy = tmp_path / f"copy{len(list(tmp_path.glob('copy*')))}"
    one = record(make_copy(copy, size=1_000), **changes)
    await vault.put_set(one, copy)
    return one


async def test_tombstone_grace_deletion(vault: Vault, tmp_path: Path, clock: FakeClock) -> None:
    one = await _put(vault, tmp_path)
    file = log_file(tmp_path / "segment")
    await vault.put_log("orders", SYSTEM, file, tmp_path / "segment")
    with pytest.raises(StillLocked, match="no tombstone"):
        await vault.delete([one.id], [], grace=timedelta(0))
    await vault.tombstone([one.id], [file.name], "older than the window", system_id=SYSTEM)
    assert (await vault.catalog()).sets[0].state is SetState.TOMBSTONED
    await clock.advance(86_399)
    with pytest.raises(StillLocked, match="may be deleted from 2026-03-02"):
        await vault.delete([one.id], [], grace=timedelta(days=1))
    await clock.advance(1)
    freed = await vault.delete([one.id], [file.name], system_id=SYSTEM, grace=timedelta(days=1))
    assert freed > 0
    assert await vault.delete([one.id], [], grace=timedelta(days=1)) == 0
    catalog = await vault.catalog()
    assert (catalog.sets[0].state, catalog.logs[0].state) == (SetState.DELETED, LogState.DELETED)
    assert not list((tmp_path / "vault").rglob("*.age"))
    assert await vault.verify(deep=True) == []
    with pytest.raises(NotInVault):
        await vault.fetch_set(one.id, tmp_path / "back")
    assert await vault.fetch_log(SYSTEM, file.name, tmp_path / "log") is False


async def test_a_tombstone_can_be_taken_back_while_all_is_there(vault: Vault, tmp_path: Path) -> None:
    one = await _put(vault, tmp_path)
    await vault.tombstone([one.id], [], "by mistake")
    await vault.revive([one.id], [], "it was a mistake")
    assert (await vault.catalog()).sets[0].state is SetState.SEALED
    await vault.tombstone([one.id], [], "again")
    next((tmp_path / "vault").rglob("data-*")).unlink()
    with pytest.raises(ObjectMissing):
        await vault.revive([one.id], [], "too late")


async def test_a_held_set_stays_until_it_is_released(vault: Vault, tmp_path: Path) -> None:
    one = await _put(vault, tmp_path)
    await vault.hold(one.id, "case 4711")
    await vault.tombstone([one.id], [], "old")
    with pytest.raises(StillLocked, match="case 4711"):
        await vault.delete([one.id], [], grace=timedelta(0))
    assert (await vault.catalog()).sets[0].hold == "case 4711"
    await vault.hold(one.id, None)
    assert await vault.delete([one.id], [], grace=timedelta(0)) > 0


async def test_a_set_on_which_another_stands_goes_only_with_it(vault: Vault, tmp_path: Path) -> None:
    full = await _put(vault, tmp_path)
    child = await _put(vault, tmp_path, kind=CopyKind.INCREMENTAL, parent_id=full.id)
    await vault.tombstone([full.id, child.id], [], "old")
    with pytest.raises(StillLocked, match=child.id):
        await vault.delete([full.id], [], grace=timedelta(0))
    assert await vault.delete([full.id, child.id], [], grace=timedelta(0)) > 0


async def test_credentials_that_cannot_delete_do_not_try(tmp_path: Path) -> None:
    async with open_document(ground(tmp_path), document(tmp_path, can_delete=False)) as vault:
        one = await _put(vault, tmp_path)
        await vault.tombstone([one.id], [], "old")
        with pytest.raises(Denied, match="can_delete"):
            await vault.delete([one.id], [], grace=timedelta(0))
    assert list((tmp_path / "vault").rglob("*.age"))


def _settings() -> tuple[BackupDocument, Fleet]:
    policy = {"name": "daily", "vaults": ["cellar"], "retention": {"window": "10d", "grace": "2d"}}
    return BackupDocument.model_validate({"policies": [policy]}), Fleet(
        clusters=(
            Cluster(
                name="orders",
                environment="test",
                engine="postgresql",
                instances=(),
                endpoints=(),
                databases=(),
                user=None,
                password=None,
                tls=TlsMode.DISABLE,
                tls_ca_file=None,
            ),
        )
    )


async def test_the_lock_of_a_directory_is_kept_by_us_and_told_as_advisory(tmp_path: Path, clock: FakeClock) -> None:
    settings, fleet = _settings()
    place = document(tmp_path, object_lock="compliance")
    async with open_document(ground(tmp_path, clock=clock, settings=settings, fleet=fleet), place) as vault:
        one = await _put(vault, tmp_path, stopped_at=clock.now())
        stored = (await vault.catalog()).sets[0]
        assert stored.lock_until == clock.now() + timedelta(days=12)
        assert (await vault.facts()).lock is LockStrength.ADVISORY
        await vault.tombstone([one.id], [], "old")
        with pytest.raises(StillLocked, match="locked until 2026-03-13"):
            await vault.delete([one.id], [], grace=timedelta(0))
        await clock.advance(12 * 86_400)
        assert await vault.delete([one.id], [], grace=timedelta(0)) > 0


async def test_a_bucket_with_object_lock_refuses_what_others_try_and_still_gives_the_set(
    tmp_path: Path, s3_client, s3_endpoint: str
) -> None:
    bucket = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:32]
    s3_client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    settings, fleet = _settings()
    place = document(tmp_path, **s3_values(tmp_path, s3_endpoint, bucket), object_lock="compliance", is_offsite=True)
    here = ground(tmp_path, clock=SystemClock(), settings=settings, fleet=fleet)
    async with open_document(here, place) as vault:
        one = await _put(vault, tmp_path, stopped_at=SystemClock().now())
        facts = await vault.facts()
        assert (facts.lock, facts.is_versioned) == (LockStrength.ENFORCED, True)
        assert facts.problems == (), "this machine can read, write and delete, but not what is locked"
        objects = s3_client.list_object_versions(Bucket=bucket, Prefix="backups/v1/")["Versions"]
        for kind in ("data-", "manifest-", "/index/"):
            found = next(item for item in objects if kind in item["Key"])
            with pytest.raises(s3_client.exceptions.ClientError, match="AccessDenied"):
                s3_client.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])
        for item in objects:  # a thief hides everything, and puts something else over it
            s3_client.delete_object(Bucket=bucket, Key=item["Key"])
            s3_client.put_object(Bucket=bucket, Key=item["Key"], Body=b"ransom")
        assert {fault.rule for fault in await vault.verify(deep=False)} == {"hidden_object"}
    (tmp_path / "fresh").mkdir()
    async with open_document(ground(tmp_path / "fresh"), place) as vault:
        await vault.fetch_set(one.id, tmp_path / "back")
    assert (tmp_path / "back" / "PG_VERSION").read_bytes() == b"18\n"


async def test_expiry_marks_waits_for_the_grace_and_tells_what_it_left(vault: Vault, tmp_path: Path, clock: FakeClock) -> None:
    full = await _put(vault, tmp_path)
    child = await _put(vault, tmp_path, kind=CopyKind.INCREMENTAL, parent_id=full.id)
    held = await _put(vault, tmp_path)
    await vault.hold(held.id, "case 4711")
    file = log_file(tmp_path / "segment")
    await vault.put_log("orders", SYSTEM, file, tmp_path / "segment")
    logs, nothing = {SYSTEM: [file.name]}, dict[str, list[str]]()

    async def settle(sets: list[str], logs: dict[str, list[str]], kept: dict[str, list[str]]) -> Settled:
        return await vault.settle(sets, logs, kept_logs=kept, reason="old", grace=timedelta(days=1))

    first = await settle([child.id, full.id, held.id, "never-was-here"], logs, nothing)
    assert first.bytes_freed == 0, "log and sets that were not marked before wait for their grace, too"
    assert set(first.sets_left) == {child.id, full.id, held.id}
    assert first.logs_left == logs
    await clock.advance(86_401)
    kept = await settle([], {}, logs)
    assert kept.bytes_freed == 0
    again = await settle([full.id, held.id], logs, nothing)
    assert again.bytes_freed == 0
    assert again.logs_left == logs, "what was kept in between begins its grace anew"
    assert "stands on it" in again.sets_left[full.id]
    assert "case 4711" in again.sets_left[held.id]
    last = await settle([child.id, full.id, held.id], {}, nothing)
    assert last.bytes_freed > 0
    assert set(last.sets_left) == {held.id}
    assert {one.id: one.state for one in (await vault.catalog()).sets} == {
        full.id: SetState.DELETED, child.id: SetState.DELETED, held.id: SetState.TOMBSTONED
    }  # fmt: skip
    assert (await settle([child.id], {}, nothing)).bytes_freed == 0, "it may be repeated"
