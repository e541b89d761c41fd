"""SIGKILL at every moment of an expiry: what is kept is whole at once, and the next worker or expiry ends the work."""

import hashlib
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import boto3
import pytest
import pytest_asyncio
from expiring_child import operation, settled, settling
from forks_kit import Forks, forks_of
from sets_kit import SEGMENT, backup_set, position
from taking_kit import Settings, Where, World, settings_in, world_of

from dbre.capabilities.backup.catalog.logs import insert_log
from dbre.capabilities.backup.catalog.sets import insert_set
from dbre.capabilities.backup.model import BackupSet, Catalog, LogState, SetState, StoredLog
from dbre.capabilities.backup.taking.vaults import open_set_vault
from dbre.capabilities.backup.vault.vault import Vault
from dbre.ports.backup.model import LogFile, LogKind

CHILD = Path(__file__).with_name("expiring_child.py")
NOWHERE = Where(engine="postgresql", host="127.0.0.1", port=1, user="nobody", password="none", database="none")
RETENTION = {"window": None, "minimum_sets": 1, "grace": "1ms", "largest_share": 1.0}


@dataclass
class Shelf:
    """A vault with small sets, each with one log file; the newest is proved and kept, the one before is to be marked."""

    world: World
    vault: Vault
    sets: list[BackupSet] = field(default_factory=list)

    async def add(self) -> None:
        """Another set, so that the newest of before goes at the next expiry, and the one before that is deleted."""
        number = len(self.sets)
        directory = self.world.settings.directory / f"copy-{number}"
        directory.mkdir(mode=0o700)
        (directory / "PG_VERSION").write_text("18\n")
        (directory / "data").write_bytes(hashlib.sha256(str(number).encode()).digest() * 1000)
        (directory / "backup_manifest").write_text("{}")
        one = backup_set(
            number,
            state=SetState.VERIFIED,
            engine="postgresql",
            vaults=(),
            manifest_sha256=hashlib.sha256(b"{}").hexdigest(),
            start=position(number * SEGMENT + 40),
            stop=position(number * SEGMENT + 296),
        )
        name, data = f"{1:08X}{0:08X}{number:08X}", bytes([number % 256]) * 5000
        (self.world.settings.directory / name).write_bytes(data)
        file = LogFile(
            name=name, kind=LogKind.SEGMENT, timeline=1, start=number * SEGMENT, end=(number + 1) * SEGMENT, size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )  # fmt: skip
        await self.vault.put_set(one, directory)
        await self.vault.put_log("orders", one.system_id, file, self.world.settings.directory / name)
        assert one.stopped_at is not None
        sealed = replace(one, state=SetState.SEALED, vaults=("near",), proven_at=one.stopped_at)
        log = StoredLog(
            cluster="orders", system_id=one.system_id, file=file, state=LogState.VAULTED, received_at=one.started_at,
            vaults=("near",),
        )  # fmt: skip
        async with self.world.store.begin() as connection:
            await insert_set(connection, sealed)
            await insert_log(connection, log)
        self.sets.append(sealed)

    async def expire(self) -> None:
        done = await self.world.run("backup.expire", cluster="orders")
        assert done.state == "succeeded", done.error

    async def kept_is_whole(self) -> None:
        """The set that the retention keeps comes back bit for bit, with its log, whatever was killed."""
        newest = self.sets[-1]
        room = self.world.settings.directory / "back"
        found = (await self.vault.catalog("orders")).get(newest.id)
        assert found is not None
        assert found.state is SetState.SEALED
        await self.vault.fetch_set(newest.id, room)
        name = f"{1:08X}{0:08X}{len(self.sets) - 1:08X}"
        assert await self.vault.fetch_log(newest.system_id, name, room / name)
        original = self.world.settings.directory / f"copy-{len(self.sets) - 1}"
        assert (room / "data").read_bytes() == (original / "data").read_bytes()
        shutil.rmtree(room)

    async def is_clean(self) -> Catalog:
        """Nothing in the vault is damaged, and nothing that was deleted is left of it."""
        assert await self.vault.verify(deep=True) == []
        assert (await self.vault.sweep(unfinished=())).objects == 0
        return await self.vault.catalog("orders")

    async def is_settled(self) -> None:
        """Store and vault say the same."""
        catalog, there = await self.world.catalog(), await self.is_clean()
        states = [one.state for one in catalog.sets]
        assert states == [*[SetState.DELETED] * (len(states) - 2), SetState.TOMBSTONED, SetState.SEALED]
        assert {one.id: one.state for one in there.sets} == {one.id: one.state for one in catalog.sets}
        gone = {one.file.name for one in catalog.logs if one.state is LogState.DELETED}
        assert {one.file.name for one in there.logs if one.state is LogState.DELETED} == gone
        assert len(gone) in (len(states) - 2, len(states) - 3), "log that was just marked may wait for the next expiry"


@asynccontextmanager
async def shelf_of(settings: Settings) -> AsyncIterator[Shelf]:
    async with world_of(settings) as world, open_set_vault(world.ground, "near") as vault:
        yield Shelf(world, vault)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path / "world", tmp_path / "cache", NOWHERE, vaults=["near"], retention=RETENTION)


@pytest.fixture
def bucket(s3_endpoint: str, tmp_path: Path) -> dict[str, str]:
    """A place that keeps versions, for a vault."""
    name = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:32]
    client = boto3.client(
        "s3", endpoint_url=s3_endpoint, region_name="us-east-1", aws_access_key_id="s", aws_secret_access_key="s"
    )
    client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    client.close()
    (tmp_path / "secret").write_text("s")
    (tmp_path / "secret").chmod(0o600)
    secret = f"file:{tmp_path / 'secret'}"
    return {"kind": "s3", "path": "", "bucket": name, "endpoint": s3_endpoint, "access_key": secret, "secret_key": secret}


@pytest_asyncio.fixture(loop_scope="session")
async def forks() -> AsyncIterator[Forks]:
    async with forks_of(CHILD) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_sigkill_at_every_moment_of_an_expiry(settings: Settings, forks: Forks) -> None:
    """One expiry marks a set and deletes another with its log: both phases are in it."""
    async with shelf_of(settings) as shelf:
        await shelf.add()
        await shelf.add()
        await shelf.expire()
        for moment in count(1):
            await shelf.add()
            operation_id = await shelf.world.submit("backup.expire", cluster="orders")
            ended = await forks.run(operation(settings, operation_id, moment))
            await shelf.kept_is_whole()
            if ended == 0:
                break
            assert ended == signal.SIGKILL, moment
            await shelf.world.free(operation_id)
            record = await shelf.world.finish(operation_id)
            assert record.state == "succeeded", (moment, record.error)
            await shelf.is_settled()
    assert moment > 10, "a claim, four steps, the verification, and what they write"


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_sigkill_at_every_write_of_both_phases_in_a_bucket(
    settings: Settings, bucket: dict[str, str], forks: Forks
) -> None:
    """Nobody remembers what was begun, as if the journal had been lost: deleting once more ends it."""
    settings = replace(settings, places={"near": bucket})
    async with shelf_of(settings) as shelf:
        await shelf.add()
        for moment in count(1):
            await shelf.add()
            doomed = shelf.sets[-2]
            ended = await forks.run(settling(settings, [doomed.id], moment))
            await shelf.kept_is_whole()
            assert ended in (0, signal.SIGKILL), moment
            await settled(shelf.vault, [doomed.id])
            catalog = await shelf.is_clean()
            assert [one.state for one in catalog.sets] == [SetState.DELETED] * (len(shelf.sets) - 1) + [SetState.SEALED]
            if ended == 0:
                break
    assert moment > 4, "the mark, the objects of a set, and the entry that they are gone"
