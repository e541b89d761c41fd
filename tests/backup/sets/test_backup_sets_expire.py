"""Expiry marks, waits, and deletes; it refuses what removes too much or the last proof; holds stand above it."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from taking_kit import World

from dbre.capabilities.backup.catalog.sets import mark_proven, set_named
from dbre.capabilities.backup.documents import RetentionDocument
from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.capabilities.backup.operations import expire_backups
from dbre.capabilities.backup.operations.expire_backups import ExpiryRefused
from dbre.capabilities.backup.policy.reading_back import read_back
from dbre.capabilities.backup.policy.stuck import examine_stuck
from dbre.capabilities.backup.restoring.claims import claimed
from dbre.capabilities.backup.taking.vaults import open_set_vault
from dbre.core.errors import Refused, Unreachable, UsageError
from dbre.core.operation.tables import operation
from dbre.core.retry import RetryPolicy


def keeping(world: World, **rules: Any) -> World:
    retention = {"window": None, "minimum_sets": 1, "grace": "3d", "largest_share": 1.0, **rules}
    return world.with_policy(vaults=["near"], retention=retention)


async def take(world: World) -> BackupSet:
    record = await world.run("backup.take", cluster="orders", kind="full")
    assert record.state == "succeeded", record.error
    return await world.newest()


async def prove(world: World, one: BackupSet) -> None:
    async with world.store.begin() as connection:
        await mark_proven(connection, one.id, world.clock.now())


async def states(world: World) -> list[SetState]:
    return [one.state for one in (await world.catalog()).sets]


def data_bytes(world: World) -> int:
    root = world.settings.directory / "near"
    return sum(Path(parent, name).stat().st_size for parent, _, names in os.walk(root) for name in names)


async def test_what_no_rule_keeps_is_marked_first_and_deleted_after_its_grace(world: World) -> None:
    world = keeping(world)
    old, new = await take(world), await take(world)
    await prove(world, new)
    marked = await world.run("backup.expire", cluster="orders")
    assert marked.state == "succeeded", marked.error
    assert await states(world) == [SetState.TOMBSTONED, SetState.SEALED]
    assert (await read_back(world.ground, old, "near")).is_good, "in its grace it is still there"
    again = await world.plan("backup.expire", cluster="orders")
    assert again.plan.steps == ()
    before = data_bytes(world)
    gone = await keeping(world, grace="1ms").run("backup.expire", cluster="orders")
    assert gone.state == "succeeded", gone.error
    assert await states(world) == [SetState.DELETED, SetState.SEALED]
    assert data_bytes(world) < before - (old.bytes_stored or 0) / 2
    assert (await read_back(world.ground, new, "near")).is_good
    (forgotten,) = [step.result for step in gone.steps if step.name == "forget"]
    assert forgotten is not None
    assert forgotten["sets"] == [old.id]
    assert forgotten["bytes_freed"] >= (old.bytes_stored or 0)
    orders = [world.ground.fleet.cluster("orders")]
    assert await examine_stuck(world.store, orders) == []
    async with world.store.begin() as connection:  # as if its last step had failed where nothing can be undone
        await connection.execute(update(operation).where(operation.c.id == gone.id).values(state="needs_operator"))
    (stuck,) = await examine_stuck(world.store, orders)
    assert (stuck.rule, stuck.subject, stuck.evidence["operation"]) == ("backup.needs_operator", "orders", str(gone.id))


async def test_it_refuses_to_leave_no_proven_set_or_to_remove_too_much_at_once(world: World) -> None:
    world = keeping(world, largest_share=0.4)
    await take(world)
    await take(world)
    with pytest.raises(ExpiryRefused, match="none of those that stay was ever proved by a drill") as refused:
        await world.plan("backup.expire", cluster="orders")
    assert "1 of 2 sets would go at once (50 %)" in refused.value.message
    assert refused.value.context["rules"] == ["backup.expiry_share", "backup.expiry_unproven"]
    planned = await world.plan("backup.expire", cluster="orders", accept_share=True, accept_unproven=True)
    assert [one.name for one in planned.plan.steps] == ["tombstone:near", "note-tombstones"]
    near = world.settings.directory / "near"
    near.rename(near.with_name("unmounted"))
    with pytest.raises(Unreachable, match="is not there"):  # begun, it would end in need of an operator, and hold all copies
        await world.plan("backup.expire", cluster="orders", accept_share=True, accept_unproven=True)
    near.with_name("unmounted").rename(near)
    assert await states(world) == [SetState.SEALED, SetState.SEALED]


async def test_a_held_set_stays_whatever_the_retention_says_and_comes_back_from_its_grace(world: World) -> None:
    world = keeping(world)
    old, new = await take(world), await take(world)
    await prove(world, new)
    assert (await world.run("backup.expire", cluster="orders")).state == "succeeded"
    held = await world.run("backup.hold", set=old.id[-12:], reason="case 17")
    assert held.state == "succeeded", held.error
    assert await states(world) == [SetState.SEALED, SetState.SEALED]
    async with open_set_vault(world.ground, "near") as vault:
        there = (await vault.catalog("orders")).get(old.id)
        assert there is not None
        assert (there.state, there.hold) == (SetState.SEALED, "case 17")
    assert (await world.plan("backup.expire", cluster="orders")).plan.steps == ()
    assert (await world.run("backup.release", set=old.id)).state == "succeeded"
    with pytest.raises(UsageError, match="is not held"):
        await world.plan("backup.release", set=old.id)
    assert [one.name for one in (await world.plan("backup.expire", cluster="orders")).plan.steps] != []


async def test_a_set_that_is_held_between_plan_and_act_is_not_touched(world: World) -> None:
    world = keeping(world)
    old, new = await take(world), await take(world)
    await prove(world, new)
    operation_id = await world.submit("backup.expire", cluster="orders")
    assert (await world.run("backup.hold", set=old.id, reason="case 17")).state == "succeeded"
    record = await world.finish(operation_id)
    assert record.state == "failed"
    assert record.error is not None
    assert f"set {old.id} is kept again since this was planned" in record.error["message"]
    assert await states(world) == [SetState.SEALED, SetState.SEALED]


async def test_a_vault_from_which_these_credentials_cannot_delete_keeps_its_sets_and_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = keeping(world, grace="1ms").with_policy(vaults=["near", "far"])
    old, new = await take(world), await take(world)
    await prove(world, new)
    assert (await world.run("backup.expire", cluster="orders")).state == "succeeded"
    before = world.ground.vaults
    documents = [one.model_copy(update={"can_delete": False}) for one in before]
    object.__setattr__(world.ground, "vaults", tuple(documents))
    planned = await world.plan("backup.expire", cluster="orders")
    assert planned.plan.steps == ()
    assert any("1 set and 0 log files lie in vaults from which" in one for one in planned.plan.warnings)
    assert (await read_back(world.ground, old, "near")).is_good
    object.__setattr__(world.ground, "vaults", before)
    monkeypatch.setattr(expire_backups, "_LONG", RetryPolicy(attempts=2))
    await loses_a_vault_in_the_middle(world, old)


async def loses_a_vault_in_the_middle(world: World, old: BackupSet) -> None:
    """One vault is away when something was deleted from the other: the next expiry deletes the rest."""
    expiry = await world.submit("backup.expire", cluster="orders")
    near = world.settings.directory / "near"
    near.rename(near.with_name("unmounted"))
    record = await world.finish(expiry)
    assert record.state == "succeeded", "it must not hold the backups of the cluster until somebody looks"
    results = {step.name: step.result or {} for step in record.steps}
    assert (results["delete:far"]["sets"], results["delete:near"]["sets_left"]) == ([old.id], [old.id])
    left = (await world.catalog()).get(old.id)
    assert left is not None
    assert (left.state, left.vaults) == (SetState.TOMBSTONED, ("near",))
    near.with_name("unmounted").rename(near)
    done = await world.run("backup.expire", cluster="orders")
    assert done.state == "succeeded", done.error
    assert await states(world) == [SetState.DELETED, SetState.SEALED]


async def test_only_what_can_be_kept_is_held(world: World) -> None:
    world = keeping(world)
    one = await take(world)
    assert (await world.run("backup.expire", cluster="orders")).state == "succeeded"
    async with world.store.read() as connection:
        assert (await set_named(connection, one.id)).state is SetState.SEALED, "the last set is never expired"
    from dbre.capabilities.backup.catalog.sets import change_state

    async with world.store.begin() as connection:
        await change_state(connection, one.id, SetState.DELETED)
    with pytest.raises(Refused, match="there is nothing to keep"):
        await world.plan("backup.hold", set=one.id, reason="case 17")


async def test_sets_whose_operation_is_gone_are_given_up(world: World) -> None:
    world = keeping(world)
    operation_id = await world.submit("backup.take", cluster="orders", kind="full")
    from sets_kit import backup_set

    from dbre.capabilities.backup.catalog.sets import insert_set

    lost = backup_set(1, state=SetState.COPIED, operation_id=None, vaults=(), started_at=world.clock.now() - timedelta(days=1))
    alive = backup_set(2, state=SetState.RUNNING, operation_id=operation_id, vaults=(), started_at=world.clock.now())
    async with world.store.begin() as connection:
        await insert_set(connection, lost)
        await insert_set(connection, alive)
    record = await world.run("backup.expire", cluster="orders")
    assert record.state == "succeeded", record.error
    assert await states(world) == [SetState.ORPHANED, SetState.RUNNING]
    assert (await world.run("backup.expire", cluster="orders")).state == "succeeded"
    assert await states(world) == [SetState.DELETED, SetState.RUNNING]


async def test_what_a_restore_or_a_command_reads_is_neither_marked_nor_deleted(world: World) -> None:
    world = keeping(world)
    old, new = await take(world), await take(world)
    await prove(world, new)
    expiry = await world.submit("backup.expire", cluster="orders")
    directory = str(world.settings.directory / "restored")
    restore = await world.submit(
        "backup.restore", cluster="orders", set=old.id, target={"kind": "immediate"}, directory=directory
    )
    failed = await world.finish(expiry)
    assert failed.state == "failed"
    assert failed.error is not None
    assert f"operation {restore} (backup.restore) reads it" in failed.error["message"]
    assert (await world.plan("backup.expire", cluster="orders")).plan.steps == ()
    done = await world.finish(restore)
    assert done.state == "succeeded", done.error
    assert (await world.run("backup.expire", cluster="orders")).state == "succeeded"
    assert await states(world) == [SetState.TOMBSTONED, SetState.SEALED]
    async with claimed(world.ground.directory, purpose="restore of orders", sets=[old.id], directories=[]):
        assert (await keeping(world, grace="1ms").plan("backup.expire", cluster="orders")).plan.steps == ()
    gone = await keeping(world, grace="1ms").run("backup.expire", cluster="orders")
    assert gone.state == "succeeded", gone.error
    assert await states(world) == [SetState.DELETED, SetState.SEALED]


def test_a_grace_of_nothing_is_refused_and_a_very_short_one_is_not() -> None:
    assert RetentionDocument.model_validate({"grace": "1ms"}).grace == timedelta(milliseconds=1)
    with pytest.raises(ValueError, match="no time at all"):
        RetentionDocument.model_validate({"grace": "0s"})
