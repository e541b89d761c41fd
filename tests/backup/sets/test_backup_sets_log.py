"""A set of a policy with a log is sealed only when all the log that makes it consistent lies in every vault."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sets_kit import START, backup_set
from sqlalchemy import update
from taking_kit import VAULTS, Settings, World, make_ground, where_is, world_of

from dbre.capabilities.backup.catalog.gaps import insert_gap
from dbre.capabilities.backup.log.intervals import recovery_intervals
from dbre.capabilities.backup.log.keeper import LogKeeper
from dbre.capabilities.backup.log.missing import find_missing
from dbre.capabilities.backup.log.origin import find_origin, receiver_name
from dbre.capabilities.backup.log.places import make_spool
from dbre.capabilities.backup.model import BackupSet, RecoveryGap, SetState
from dbre.capabilities.backup.policy.asking import ask_servers
from dbre.capabilities.backup.taking.completing import LogWait, log_coverage, wait_for_log
from dbre.core.audit.signed_note import SigningKey
from dbre.core.clock import SystemClock
from dbre.core.errors import DbreError, Refused, UsageError
from dbre.core.ids import uuid7
from dbre.core.operation import tables
from dbre.core.store import Store
from dbre.ports.backup.engine import ReceiveOrder
from dbre.ports.backup.errors import LogGap
from dbre.ports.backup.log_source import LogBacklog
from dbre.testing.clock import FakeClock
from dbre.testing.fixtures import PostgresPair

STREAM = {"log": {"mode": "stream"}}


async def backlog(world: World) -> LogBacklog:
    """What the primary keeps for the receiver."""
    cluster = world.ground.fleet.cluster("orders")
    policy = world.ground.require_policy("orders")
    origin = await find_origin(world.ground, cluster, policy)
    assert origin.source is not None
    return await origin.source.backlog(receiver_name("orders"))


@asynccontextmanager
async def keeping(world: World) -> AsyncIterator[None]:
    """The log is received meanwhile, as a control plane does."""
    task = asyncio.create_task(LogKeeper(world.ground).run())
    try:
        async with asyncio.timeout(90):
            while not (await backlog(world)).is_active:  # noqa: ASYNC110 - a server is asked
                await asyncio.sleep(0.1)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.timeout(180)
async def test_a_set_is_sealed_when_its_log_is_in_every_vault(world: World) -> None:
    world = world.with_policy(**STREAM)
    async with keeping(world):
        record = await world.run("backup.take", cluster="orders")
    assert record.state == "succeeded", record.error
    one = await world.newest()
    assert one.state is SetState.SEALED
    assert one.details["includes_log"] is False
    covered = await log_coverage(world.store, one, VAULTS)
    assert covered.is_complete
    assert all(set(VAULTS) <= set(log.vaults) for log in covered.files)
    (step,) = [step for step in record.steps if step.name == "complete-log"]
    assert (step.result or {})["files"] == [log.file.name for log in covered.files]
    await lets_go_of_the_slot(world)


async def lets_go_of_the_slot(world: World) -> None:
    """A cluster leaves its policy: what its server keeps for us is told, and let go when somebody says so."""
    clusters = world.ground.fleet.clusters
    with pytest.raises(Refused, match="the policy of orders has its log received"):
        await world.plan("backup.release_log", cluster="orders")
    assert await ask_servers(world.ground, clusters) == []
    left = world.with_policy(log={"mode": "none"})
    (found,) = await ask_servers(left.ground, clusters)
    assert (found.rule, found.fix) == ("backup.slot_left", "dbre backup log release orders")
    assert "for slot dbre_orders" in found.summary
    planned = await left.plan("backup.release_log", cluster="orders")
    assert planned.plan.tags == ("remedy",), "an alert of the full disk must not hold it"
    record = await left.run("backup.release_log", cluster="orders")
    assert record.state == "succeeded", record.error
    assert await ask_servers(left.ground, clusters) == []
    with pytest.raises(UsageError, match="no server of orders keeps log"):
        await left.plan("backup.release_log", cluster="orders")


@asynccontextmanager
async def receiving_for_somebody_else(world: World, directory: Path) -> AsyncIterator[None]:
    """Somebody uses our slot, and nothing of it comes to our vaults."""
    cluster = world.ground.fleet.cluster("orders")
    origin = await find_origin(world.ground, cluster, world.ground.require_policy("orders"))
    account = world.ground.place.account
    spool = make_spool(directory, "orders", origin.system_id, account)
    order = ReceiveOrder(spool=spool, name=receiver_name("orders"))
    task = asyncio.ensure_future(origin.port.receiver(origin.access, order).run())
    try:
        async with asyncio.timeout(90):
            while not (await backlog(world)).is_active:  # noqa: ASYNC110 - a server is asked
                await asyncio.sleep(0.1)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert origin.source is not None
        await origin.source.release(receiver_name("orders"))


@pytest.mark.timeout(180)
async def test_without_its_log_no_set_is_sealed_and_the_hole_is_named(world: World) -> None:
    world = world.with_policy(**STREAM)
    async with receiving_for_somebody_else(world, world.settings.directory / "elsewhere"):
        planned = await world.plan("backup.take", cluster="orders")
        assert any("no log file of system" in one for one in planned.plan.warnings)
        operation_id = await world.submit("backup.take", cluster="orders")
        row = tables.operation
        async with world.store.begin() as connection:  # as `dbre op set ID log-wait=4s`
            await connection.execute(update(row).where(row.c.id == operation_id).values(tuning={"log-wait": "4s"}))
        record = await world.finish(operation_id)
    assert record.state == "compensated", record.error
    assert record.error is not None
    assert record.error["code"] == "backup.log_gap"
    one = await world.newest()
    assert one.state is SetState.FAILED
    assert one.start is not None
    assert f"set {one.id} needs log from {one.start.text}" in record.error["message"]
    assert "--self-contained" in (record.error["hint"] or "")


@pytest.mark.timeout(180)
async def test_where_nobody_receives_the_log_the_set_holds_its_own_and_reaches_its_own_end(world: World) -> None:
    world = world.with_policy(**STREAM)
    planned = await world.plan("backup.take", cluster="orders")
    assert any("nobody receives the log of orders-1" in one for one in planned.plan.warnings)
    assert "complete-log" not in [one.name for one in planned.plan.steps]
    record = await world.run("backup.take", cluster="orders")
    assert record.state == "succeeded", record.error
    one = await world.newest()
    assert one.holds_its_log
    (interval,) = recovery_intervals(await world.catalog(), ())
    assert (interval.start, interval.end) == (one.stop, one.stop)
    assert find_missing(await world.catalog()) == ()
    assert (await world.plan("backup.take", cluster="orders", kind="full")).plan.tags == ("backup",)
    async with world.store.begin() as connection:
        await insert_gap(connection, gap_before(one))
    planned = await world.plan("backup.take", cluster="orders", kind="full")
    assert planned.plan.tags == ("backup", "remedy"), "no gate holds what ends a gap"


def gap_before(one: BackupSet) -> RecoveryGap:
    assert one.start is not None
    return RecoveryGap(
        id=uuid7(SystemClock()),
        cluster=one.cluster,
        system_id=one.system_id,
        timeline=1,
        start=one.start.value - 40,
        end=None,
        began_at=one.started_at - timedelta(seconds=1),
        ended_at=None,
        reason="the server removed it",
        remedy="none yet",
    )


async def test_log_that_is_lost_for_good_ends_the_wait_at_once_and_an_earlier_gap_does_not(store: Store) -> None:
    one = backup_set(3, state=SetState.VERIFIED)
    gap = gap_before(one)

    async def nothing(*_: object) -> None: ...

    wait = LogWait(patience=lambda: 0.0, look=nothing, end_file=nothing, tell=nothing)
    async with store.begin() as connection:
        await insert_gap(connection, gap)
    with pytest.raises(LogGap, match="it is not in near"):
        await wait_for_log(store, one, ["near"], clock=FakeClock(START), wait=wait)
    async with store.begin() as connection:
        await insert_gap(connection, replace(gap, id=uuid7(SystemClock()), began_at=one.started_at + timedelta(seconds=1)))
    patient = replace(wait, patience=lambda: 3600.0)
    with pytest.raises(LogGap, match="lost for good: the server removed it"):
        await wait_for_log(store, one, ["near"], clock=FakeClock(START), wait=patient)


@pytest.mark.parametrize("how", ["missing", "read_only", "not_configured", "other_signer"])
async def test_a_vault_that_cannot_take_the_set_is_told_before_anything_is_copied(world: World, how: str) -> None:
    far = world.settings.directory / "far"
    policy = {"vaults": ["near", "elsewhere"]} if how == "not_configured" else {}
    world = world.with_policy(**policy)
    if how == "missing":
        far.rmdir()
    elif how == "read_only":
        (far / "staging").write_text("a file where the directory should be")
    elif how == "other_signer":
        record = await world.run("backup.take", cluster="orders")
        assert record.state == "succeeded", record.error
        settings = replace(world.settings, signing_key=SigningKey.generate("other/dbre-audit/0001").reveal())
        world = replace(world, ground=make_ground(settings, world.store, world.clock))
    with pytest.raises(DbreError, match=r"elsewhere|far") as caught:
        await world.plan("backup.take", cluster="orders")
    assert caught.value.hint


async def test_a_self_contained_set_waits_for_no_archive(world: World) -> None:
    world = world.with_policy(**STREAM)
    record = await world.run("backup.take", cluster="orders", self_contained=True)
    assert record.state == "succeeded", record.error
    assert (await world.newest()).details["includes_log"] is True


async def caught_up(pair: PostgresPair) -> None:
    """Until the replica has replayed what the primary has written by now."""
    async with await pair.primary.connect() as primary, await pair.replica.connect() as replica, asyncio.timeout(60):
        row = await (await primary.execute("SELECT pg_current_wal_lsn()")).fetchone()
        assert row is not None
        while (await (await replica.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", row)).fetchone()) != (True,):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.timeout(240)
async def test_a_copy_of_a_replica_is_sealed_with_the_log_of_the_primary(
    world_settings: Settings, postgres_pair: PostgresPair
) -> None:
    async with await postgres_pair.primary.connect() as connection:  # a lab does without; a replica's copy needs it
        await connection.execute("ALTER SYSTEM SET full_page_writes = on")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute("SELECT pg_sleep(0.2)")
        await connection.execute("CHECKPOINT")
    await caught_up(postgres_pair)
    async with await postgres_pair.replica.connect() as connection:
        await connection.execute("CHECKPOINT")
    pair = replace(world_settings, source=where_is(postgres_pair.primary), replica=where_is(postgres_pair.replica))
    async with world_of(pair) as bare:
        world = bare.with_policy(from_replica=True, **STREAM)
        async with keeping(world):
            record = await world.run("backup.take", cluster="orders")
        assert record.state == "succeeded", record.error
        one = await world.newest()
        assert (one.state, one.details["instance"]) == (SetState.SEALED, "orders-2")
        assert (await log_coverage(world.store, one, VAULTS)).is_complete
        await postgres_pair.replica.stop()
        planned = await world.plan("backup.take", cluster="orders")
        assert planned.plan.observed["instance"] == "orders-1"
        assert "no replica of orders can be copied, so the primary orders-1 is" in planned.plan.warnings
