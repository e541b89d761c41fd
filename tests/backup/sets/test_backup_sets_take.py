"""A backup is taken of a real server into real vaults, and is sealed only when all of it is good and there."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update
from taking_kit import VAULTS, Settings, Where, World, world_of

from dbre.capabilities.backup.catalog.sets import change_state, update_set
from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.policy.chain import NoSuchCopy
from dbre.capabilities.backup.policy.reading_back import read_back
from dbre.capabilities.backup.taking.source import NotCopyable
from dbre.capabilities.backup.taking.staging import SetStaging, forget_manifest, staged_ids
from dbre.capabilities.backup.taking.vaults import open_set_vault
from dbre.core.errors import Unreachable, UsageError
from dbre.core.operation import tables
from dbre.lab.postgres import PostgresServer
from dbre.ports.backup.model import ChecksumState, CopyKind


class At:
    """Does something once a commit of the journal was made, or is about to be."""

    def __init__(self, moment: str, act: Callable[[], None]) -> None:
        self._moment = moment
        self._act = act
        self.seen: list[str] = []

    async def before(self, commit: str) -> None:
        await self._pass(f"before {commit}")

    async def after(self, commit: str) -> None:
        await self._pass(f"after {commit}")

    async def _pass(self, moment: str) -> None:
        self.seen.append(moment)
        if moment == self._moment:
            self._act()


async def test_a_full_copy_is_verified_stored_in_every_vault_and_sealed(world: World) -> None:
    record = await world.run("backup.take", cluster="orders")
    assert record.state == "succeeded", record.error
    (one,) = (await world.catalog()).sets
    assert one.state is SetState.SEALED
    assert (one.id, one.operation_id) == (str(record.id), record.id)
    assert (one.kind, one.parent_id, one.vaults) == (CopyKind.FULL, None, VAULTS)
    assert one.start is not None
    assert one.stop is not None
    assert one.start.value < one.stop.value
    assert one.checksums is ChecksumState.GOOD
    assert one.manifest_sha256 is not None
    assert one.bytes_stored is not None
    assert 0 < one.bytes_stored < one.bytes_source
    assert one.details["reason"] == "there is no sealed set yet"
    assert one.details["includes_log"] is True
    assert staged_ids(world.ground) == (), "the copy in clear text is gone"
    for name in VAULTS:
        async with open_set_vault(world.ground, name) as vault:
            (there,) = (await vault.catalog("orders")).sets
            assert there.id == one.id
            assert there.state is SetState.SEALED
            assert "staged" not in there.details


async def test_increments_stand_on_the_newest_set_until_the_chain_is_long_enough(
    world: World, copied_postgres: PostgresServer
) -> None:
    world = world.with_policy(longest_chain=2, largest_chain_ratio=10)
    made = []
    for number in range(4):
        async with await copied_postgres.connect() as connection:
            await connection.execute(
                "INSERT INTO ledger SELECT %s + i, 'w' FROM generate_series(1, 100) AS i ON CONFLICT DO NOTHING",
                [number * 1000],
            )
        if number == 2:
            await forget_manifest(world.ground, made[-1].id)  # then the manifest comes from a vault
        record = await world.run("backup.take", cluster="orders")
        assert record.state == "succeeded", record.error
        made.append(await world.newest())
    full, first, second, again = made
    assert [one.kind for one in made] == [CopyKind.FULL, CopyKind.INCREMENTAL, CopyKind.INCREMENTAL, CopyKind.FULL]
    assert (first.parent_id, second.parent_id, again.parent_id) == (full.id, first.id, None)
    assert first.bytes_source < full.bytes_source / 2
    assert second.details["reason"] == f"increment 2 of at most 2 on full set {full.id}"
    assert again.details["reason"] == "the chain has 2 increments; longest_chain is 2"
    for one in made:
        assert (await read_back(world.ground, one, "far")).is_good


async def test_a_copy_that_changed_on_this_machine_is_told_by_file_and_removed(world: World) -> None:
    operation_id = await world.submit("backup.take", cluster="orders")
    staging = SetStaging(world.ground, str(operation_id))

    def flip() -> None:
        (path,) = staging.root.glob("copy-*/global/pg_control")
        data = bytearray(path.read_bytes())
        data[100] ^= 1
        path.write_bytes(bytes(data))

    await world.runner(At("after do 1 done", flip)).run(operation_id)
    record = await world.record(operation_id)
    assert record.state == "compensated"
    assert record.error is not None
    assert "global/pg_control" in record.error["message"]
    assert (await world.newest()).state is SetState.FAILED
    assert staged_ids(world.ground) == ()
    async with open_set_vault(world.ground, "near") as vault:
        assert (await vault.catalog("orders")).sets == ()


async def test_a_set_that_a_vault_refuses_is_orphaned_and_collected_by_expiry(world: World) -> None:
    operation_id = await world.submit("backup.take", cluster="orders")
    far = world.settings.directory / "far"

    def lose() -> None:
        shutil.rmtree(far)
        far.write_text("no directory any more")

    await world.runner(At("after do 3 done", lose)).run(operation_id)
    record = await world.record(operation_id)
    assert record.state == "compensated", record.error
    orphan = await world.newest()
    assert (orphan.state, orphan.vaults) == (SetState.ORPHANED, ("far", "near"))
    far.unlink()
    far.mkdir(mode=0o700)
    async with open_set_vault(world.ground, "near") as vault:
        assert [one.id for one in (await vault.catalog("orders")).sets] == [orphan.id]
    expired = await world.run("backup.expire", cluster="orders", accept_unproven=True)
    assert expired.state == "succeeded", expired.error
    assert ((await world.newest()).state, (await world.newest()).vaults) == (SetState.ORPHANED, ("near",)), "in its grace"
    impatient = world.with_policy(vaults=["near", "far"], retention={"grace": "1ms"})
    expired = await impatient.run("backup.expire", cluster="orders", accept_unproven=True)
    assert expired.state == "succeeded", expired.error
    assert (await world.newest()).state is SetState.DELETED
    async with open_set_vault(world.ground, "near") as vault:
        assert [one.state for one in (await vault.catalog("orders")).sets] == [SetState.DELETED]


async def test_a_backup_that_is_cancelled_in_its_copy_leaves_no_program_and_no_copy(world: World) -> None:
    world = world.with_policy(bytes_per_second="1MB")
    operation_id = await world.submit("backup.take", cluster="orders", kind="full")
    running = asyncio.create_task(world.runner().run(operation_id))
    root = SetStaging(world.ground, str(operation_id)).root
    async with asyncio.timeout(60):
        while not any(root.glob("copy-*/base")):  # noqa: ASYNC110 -- what is waited for is a file
            await asyncio.sleep(0.05)
    row = tables.operation
    asked = {"cancel_requested_by": "anna", "cancel_requested_at": world.clock.now()}
    async with world.store.begin() as connection:
        await connection.execute(update(row).where(row.c.id == operation_id).values(asked))
    async with asyncio.timeout(60):
        await running
    assert (await world.record(operation_id)).state == "compensated"
    assert (await world.newest()).state is SetState.FAILED
    assert staged_ids(world.ground) == ()
    commands = [_command(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [one for one in commands if str(operation_id).encode() in one]


def _command(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended meanwhile
        return b""


async def test_two_backups_of_one_cluster_never_run_beside_each_other(world: World) -> None:
    first = await world.submit("backup.take", cluster="orders")
    second = await world.submit("backup.take", cluster="orders")
    overlaps: list[str] = []

    async def watch() -> None:
        while True:
            running = [one.id for one in (await world.catalog()).sets if one.state in {SetState.RUNNING, SetState.COPIED}]
            if len(running) > 1:
                overlaps.extend(running)
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    runner = world.runner()
    await asyncio.gather(runner.run(first), runner.run(second))
    async with asyncio.timeout(60):
        while not all([(await world.record(one)).is_final for one in (first, second)]):
            await asyncio.gather(runner.run(first), runner.run(second))
            await asyncio.sleep(0.2)
    watching.cancel()
    assert overlaps == []
    states = [(await world.record(one)).state for one in (first, second)]
    assert "succeeded" in states


async def test_a_parent_that_is_gone_since_the_plan_ends_the_copy_before_it_begins(world: World) -> None:
    assert (await world.run("backup.take", cluster="orders")).state == "succeeded"
    operation_id = await world.submit("backup.take", cluster="orders", kind="incremental")
    parent = await world.newest()
    async with world.store.begin() as connection:
        await change_state(connection, parent.id, SetState.TOMBSTONED)
    record = await world.finish(operation_id)
    assert record.state == "failed"
    assert record.error is not None
    assert f"set {parent.id}, on which the copy was to stand, is tombstoned" in record.error["message"]
    with pytest.raises(NoSuchCopy, match="no incremental copy can be made: there is no sealed set yet"):
        await world.plan("backup.take", cluster="orders", kind="incremental")


async def test_another_server_at_the_same_address_is_told_and_not_copied(
    world: World, world_settings: Settings, postgres18: PostgresServer
) -> None:
    assert (await world.run("backup.take", cluster="orders")).state == "succeeded"
    operation_id = await world.submit("backup.take", cluster="orders")
    other = Where(
        engine="postgresql",
        host=postgres18.address.host,
        port=postgres18.address.port,
        user=postgres18.superuser,
        password=postgres18.password.reveal(),
        database="postgres",
    )
    moved = replace(world_settings, source=other)
    async with world_of(moved) as elsewhere:
        record = await elsewhere.finish(operation_id)
        assert record.state == "failed"
        assert record.error is not None
        assert "when it was planned" in record.error["message"]
        planned = await elsewhere.plan("backup.take", cluster="orders")
    assert planned.plan.observed["kind"] == "full"
    assert any("the server was rebuilt or upgraded, so a new chain begins" in one for one in planned.plan.warnings)


async def test_what_stands_in_the_way_is_told_at_once_and_nothing_is_begun(
    world: World, world_settings: Settings, copied_postgres: PostgresServer
) -> None:
    async with await copied_postgres.connect() as connection:
        await connection.execute("DROP ROLE IF EXISTS weak")
        await connection.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'")
    weak = replace(world_settings, source=replace(world_settings.source, user="weak", password="weak"))
    async with world_of(weak) as poor:
        with pytest.raises(NotCopyable, match=r"orders-1 cannot be copied: .*(?i:replication)"):
            await poor.plan("backup.take", cluster="orders")
    with pytest.raises(NotCopyable, match="cluster orders has no instance orders-9"):
        await world.plan("backup.take", cluster="orders", instance="orders-9")
    with pytest.raises(UsageError, match="policy daily names vault 'attic', and there is none"):
        await world.with_policy(vaults=["attic"]).plan("backup.take", cluster="orders")
    with pytest.raises(UsageError, match="no backup policy selects cluster orders"):
        await world.with_policy(selector={"environment": "dev"}).plan("backup.take", cluster="orders")
    with pytest.raises(NoSuchCopy, match="postgresql is not copied as snapshot by provider native"):
        await world.plan("backup.take", cluster="orders", kind="snapshot")
    gone = replace(world_settings, source=replace(world_settings.source, port=1))
    async with world_of(gone) as nowhere:
        with pytest.raises(Unreachable):
            await nowhere.plan("backup.take", cluster="orders")
    assert (await world.catalog()).sets == ()


async def test_a_set_that_is_far_smaller_than_those_before_it_is_told(world: World) -> None:
    assert (await world.run("backup.take", cluster="orders", kind="full")).state == "succeeded"
    real = await world.newest()
    async with world.store.begin() as connection:
        await update_set(connection, replace(real, bytes_source=500_000_000_000))
    assert (await world.run("backup.take", cluster="orders", kind="full")).state == "succeeded"
    second = await world.newest()
    assert second.details["anomalies"] == [], "one set before it says nothing"
    async with world.store.begin() as connection:
        await update_set(connection, replace(second, bytes_source=500_000_000_000))
    record = await world.run("backup.take", cluster="orders", kind="full")
    assert record.state == "succeeded"
    (told,) = (await world.newest()).details["anomalies"]
    assert "the 2 full sets before it have a median of" in told
