"""The keeper on real servers: receiving, sealing, exposure, and what becomes of them when things go wrong."""

import asyncio
import contextlib
from pathlib import Path

import psycopg
import pytest
from log_plane import CLUSTER, Plane, plane, sealed_set, until

from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.catalog.sets import list_sets
from dbre.capabilities.backup.catalog.switches import insert_switch
from dbre.capabilities.backup.exposure.exposure import measure
from dbre.capabilities.backup.exposure.model import Tier
from dbre.capabilities.backup.log.origin import find_origin, receiver_name
from dbre.capabilities.backup.model import LogState, RecoveryGap, StoredLog, TimelineSwitch
from dbre.core.events import recent
from dbre.lab.postgres import PostgresServer
from dbre.ports.backup.model import LogKind
from dbre.testing.fixtures import PostgresPair

SLOT = receiver_name(CLUSTER)


async def write(server: PostgresServer, rows: int = 5000) -> None:
    async with await server.connect() as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS ledger (id bigint)")
        await connection.execute("INSERT INTO ledger SELECT generate_series(1, %s)", [rows])


async def switch_log(server: PostgresServer) -> None:
    async with await server.connect() as connection:
        await connection.execute("SELECT pg_switch_wal()")


async def segments(one: Plane, *states: LogState) -> list[StoredLog]:
    catalog = await load_catalog(one.store, CLUSTER)
    return [log for log in catalog.logs if log.file.kind is LogKind.SEGMENT and (not states or log.state in states)]


async def kinds(one: Plane) -> list[str]:
    async with one.store.read() as connection:
        return [event.kind for event in await recent(connection, limit=200)]


async def is_received(one: Plane) -> bool:
    origin = await find_origin(one.ground, one.ground.fleet.cluster(CLUSTER), one.ground.require_policy(CLUSTER))
    assert origin.source is not None
    return (await origin.source.backlog(SLOT)).is_active is True


async def begin_set(one: Plane, server: PostgresServer) -> None:
    """What a full copy that was sealed leaves in the catalog, taken now."""
    policy = one.ground.require_policy(CLUSTER)
    origin = await find_origin(one.ground, one.ground.fleet.cluster(CLUSTER), policy)
    start = await origin.port.position(origin.access)
    await write(server, 10)
    stop = await origin.port.position(origin.access)
    await sealed_set(one.store, origin.system_id, start, stop)


async def test_log_is_received_sealed_read_and_let_go(fresh_postgres: PostgresServer, workplace: Path) -> None:
    server = fresh_postgres
    async with plane(workplace, [server], cache=server.site.cache) as one, one.keeping():
        await until(lambda: is_received(one), "somebody receives")
        for _ in range(3):
            await write(server)
            await switch_log(server)

        async def verified() -> list[StoredLog]:
            return await segments(one, LogState.VERIFIED)

        found = await until(verified, "a segment is verified")
        assert found[0].vaults == ("cellar",)
        spool = next((one.ground.directory / "spool" / CLUSTER).iterdir())

        async def left() -> bool:
            whole = [path.name for path in spool.iterdir() if len(path.name) == 24]
            return found[0].file.name not in whole and len(whole) >= 1

        await until(left, "it is let go, and the newest stays")
        assert "backup.log_not_vaulted" not in await kinds(one)


async def test_exposure_shrinks_as_log_comes_to_safety(fresh_postgres: PostgresServer, workplace: Path) -> None:
    server = fresh_postgres
    async with plane(workplace, [server], cache=server.site.cache, seal_after="2s") as one:
        before = await measure(one.ground, CLUSTER)
        assert before.seconds is None
        assert "no sealed backup set" in (before.reason_unknown or "")
        async with one.keeping():
            await until(lambda: is_received(one), "somebody receives")
            await begin_set(one, server)

            async def is_safe() -> bool:
                found = await measure(one.ground, CLUSTER)
                vault = next(tier for tier in found.tiers if tier.tier is Tier.VAULT)
                return vault.seconds is not None and vault.seconds < 5

            await until(is_safe, "the vault has the log")  # without a switch by hand: seal_after ends the file
        await asyncio.sleep(0)
        await write(server)
        await asyncio.sleep(1.5)
        later = await measure(one.ground, CLUSTER)  # nobody keeps the log now
        stream = next(tier for tier in later.tiers if tier.tier is Tier.STREAM)
        assert stream.reason_unknown == "no receiver says how far it is"
        assert later.seconds is not None
        assert later.seconds >= 1.5
        assert (later.bytes or 0) > 0
        assert later.position is not None
        async with one.store.begin() as connection:  # a failover that this server knows nothing of
            (newest,) = await list_sets(connection, cluster=CLUSTER)
            switch = TimelineSwitch(system_id=newest.system_id, timeline=2, parent=1, at=later.position.value)
            await insert_switch(connection, switch)
        stale = await measure(one.ground, CLUSTER)
        assert (stale.seconds, stale.bytes) == (None, None)
        assert "another primary has taken over" in (stale.reason_unknown or "")


async def test_an_unreachable_server_makes_exposure_unknown_and_never_zero(
    fresh_postgres: PostgresServer, workplace: Path
) -> None:
    server = fresh_postgres
    async with plane(workplace, [server], cache=server.site.cache) as one:
        await begin_set(one, server)
        await server.stop()
        found = await measure(one.ground, CLUSTER)
    assert (found.seconds, found.bytes) == (None, None)
    assert "no primary of cluster orders answers" in (found.reason_unknown or "")


async def test_a_second_control_plane_does_not_receive_and_says_who_does(
    fresh_postgres: PostgresServer, workplace: Path
) -> None:
    server = fresh_postgres
    async with (
        plane(workplace, [server], cache=server.site.cache) as first,
        plane(workplace, [server], cache=server.site.cache, name="second") as second,
        first.keeping(),
    ):
        await until(lambda: is_received(first), "the first receives")
        async with second.keeping():

            async def is_told() -> bool:
                return "backup.log_received_by_another" in await kinds(second)

            await until(is_told, "the second says so")
            spools = [path for path in (second.ground.directory / "spool").rglob("*") if path.is_file()]
            assert spools == []
        assert await is_received(first)


async def test_log_that_the_server_removed_is_a_gap_with_a_remedy_and_receiving_goes_on(
    fresh_postgres: PostgresServer, workplace: Path
) -> None:
    server, asked = fresh_postgres, []

    async def request(kind: str, given: object, key: str) -> str:
        asked.append((kind, given, key))
        return "0192f3c1-0000-7000-8000-000000000001"

    async with plane(workplace, [server], cache=server.site.cache, seal_after="2s") as one:
        async with one.keeping():
            await until(lambda: is_received(one), "somebody receives")
            await write(server)
            await switch_log(server)
            await until(lambda: segments(one, LogState.VAULTED, LogState.VERIFIED), "a segment is stored")
            (spool,) = (one.ground.directory / "spool" / CLUSTER).iterdir()

            async def is_begun() -> bool:
                await write(server, 20)
                return bool(list(spool.glob("*.partial")))

            await until(is_begun, "the next file is begun")
        async with await server.connect() as connection:
            await connection.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'")
            await connection.execute("ALTER SYSTEM SET max_wal_size = '32MB'")
            await connection.execute("SELECT pg_reload_conf()")
        for _ in range(8):
            await write(server, 20)
            await switch_log(server)
        async with await server.connect() as connection:
            await connection.execute("CHECKPOINT")
        async with one.keeping(request=request):

            async def noted() -> RecoveryGap | None:
                return next((gap for gap in (await load_catalog(one.store, CLUSTER)).gaps if "operation" in gap.remedy), None)

            gap = await until(noted, "the gap is written down with its remedy")
            assert (asked[0][0], asked[0][1]) == ("backup.take", {"cluster": CLUSTER, "kind": "full"})
            assert gap.ended_at is None
            await until(lambda: is_received(one), "receiving goes on")
            (aside,) = spool.glob(".before-gap-*")
            assert list(aside.glob("*.partial"))
            await begin_set(one, server)

            async def closed() -> bool:
                return (await load_catalog(one.store, CLUSTER)).gaps[0].ended_at is not None

            await until(closed, "a full copy closes it")

            async def retired() -> bool:
                return "backup.log_retired" in await kinds(one) and not aside.exists()

            await until(retired, "what was set aside is removed, and that is told")
        assert len(asked) == 1
        assert "backup.recovery_gap" in await kinds(one)


async def test_a_failover_during_receive_leaves_no_hole_and_a_full_copy_follows(
    postgres_pair: PostgresPair, workplace: Path
) -> None:
    primary, replica, asked = postgres_pair.primary, postgres_pair.replica, []

    async def request(kind: str, given: object, key: str) -> str:
        asked.append((kind, given, key))
        return "0192f3c1-0000-7000-8000-000000000003"

    async with plane(workplace, [primary, replica], cache=primary.site.cache) as one, one.keeping(request=request):
        await until(lambda: is_received(one), "somebody receives")
        await begin_set(one, primary)
        await write(primary)
        await switch_log(primary)
        await until(lambda: segments(one, LogState.VAULTED, LogState.VERIFIED), "a segment is stored")
        await primary.stop()  # fast: the replica has all of it
        async with await replica.connect() as connection:
            await connection.execute("SELECT pg_promote()")

        async def on_two() -> bool:
            with contextlib.suppress(psycopg.Error):  # not promoted yet
                await write(replica, 20)
                await switch_log(replica)
            found = await segments(one, LogState.VAULTED, LogState.VERIFIED)
            return any(log.file.timeline == 2 for log in found)

        await until(on_two, "log of the new timeline is stored")
        catalog = await load_catalog(one.store, CLUSTER)
        assert [(switch.timeline, switch.parent) for switch in catalog.switches] == [(2, 1)]
        found = await measure(one.ground, CLUSTER)
        spool = next(tier for tier in found.tiers if tier.tier is Tier.SPOOL)
        assert spool.position is not None
        assert spool.position.timeline == 2
        assert catalog.gaps == ()

        async def is_asked() -> bool:
            return bool(asked)

        await until(is_asked, "a full copy of the new timeline is asked for")
        key = f"backup-timeline:{CLUSTER}:{catalog.sets[0].system_id}:2"
        assert asked == [("backup.take", {"cluster": CLUSTER, "kind": "full"}, key)]

        async def is_told() -> bool:
            return "backup.next_full" in await kinds(one)

        await until(is_told, "it is told")


@pytest.mark.slow
async def test_an_old_primary_that_lives_on_and_is_ahead_does_not_keep_the_log(
    postgres_pair: PostgresPair, workplace: Path
) -> None:
    primary, replica = postgres_pair.primary, postgres_pair.replica
    async with plane(workplace, [primary, replica], cache=primary.site.cache) as one, one.keeping():
        await until(lambda: is_received(one), "somebody receives")
        async with await replica.connect() as connection:
            await connection.execute("SELECT pg_promote()")
        for _ in range(3):  # lost commits: the new primary has never seen them
            await write(primary, 20)
            await switch_log(primary)

        async def opened() -> bool:
            return bool((await load_catalog(one.store, CLUSTER)).gaps)

        await until(opened, "nobody has the log between the promotion and the receiver")
        catalog = await load_catalog(one.store, CLUSTER)
        ahead = max(log.file.end for log in catalog.logs if log.file.timeline == 1)
        (gap,) = catalog.gaps
        assert (gap.timeline, gap.start < ahead) == (2, True), "it does not begin where the new primary has not been yet"

        async def on_two() -> bool:
            with contextlib.suppress(psycopg.Error):  # not promoted yet
                await write(replica, 20)
                await switch_log(replica)
            return any(log.file.timeline == 2 for log in await segments(one, LogState.VAULTED, LogState.VERIFIED))

        await until(on_two, "log of the new primary is stored")
        await begin_set(one, replica)

        async def closed() -> bool:
            return all(gap.ended_at is not None for gap in (await load_catalog(one.store, CLUSTER)).gaps)

        await until(closed, "a full copy of the new timeline closes it")


@pytest.mark.slow
async def test_a_slot_that_is_left_on_a_replica_is_released_before_it_fills_the_disk(
    postgres_pair: PostgresPair, workplace: Path
) -> None:
    primary, replica = postgres_pair.primary, postgres_pair.replica
    async with await replica.connect() as connection:  # as a primary that became a replica brings it along
        await connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", [SLOT])
    async with plane(workplace, [primary, replica], cache=primary.site.cache) as one, one.keeping():

        async def is_gone() -> bool:
            async with await replica.connect() as connection:
                found = await (await connection.execute("SELECT count(*) FROM pg_replication_slots")).fetchone()
            return found == (0,)

        await until(is_gone, "the slot is gone")
        await until(lambda: is_received(one), "the log of the primary is received")
        assert "backup.slot_released" in await kinds(one)


@pytest.mark.slow
async def test_a_vault_that_is_away_stops_sealing_alone_and_all_is_made_up_for(
    fresh_postgres: PostgresServer, workplace: Path
) -> None:
    server = fresh_postgres
    async with plane(workplace, [server], cache=server.site.cache) as one, one.keeping():
        await until(lambda: is_received(one), "somebody receives")
        vault, away = Path(one.ground.vaults[0].path), workplace / "away"
        await asyncio.to_thread(vault.rename, away)
        await write(server)
        await switch_log(server)

        async def is_told() -> bool:
            return "backup.log_not_vaulted" in await kinds(one)

        await until(is_told, "it is told that the vault takes nothing")
        assert await is_received(one)
        assert await segments(one, LogState.RECEIVED)
        await asyncio.to_thread(away.rename, vault)
        await until(lambda: segments(one, LogState.VAULTED, LogState.VERIFIED), "what was received is stored")

        async def is_well() -> bool:
            return "backup.log_not_vaulted_ended" in await kinds(one)

        await until(is_well, "it is told that it is well again")


async def test_with_the_policy_drop_the_server_is_saved_and_a_full_copy_is_asked_for(
    fresh_postgres: PostgresServer, workplace: Path
) -> None:
    server, asked = fresh_postgres, []

    async def request(kind: str, given: object, key: str) -> str:
        asked.append((kind, given, key))
        return "0192f3c1-0000-7000-8000-000000000002"

    async with plane(
        workplace, [server], cache=server.site.cache, seal_after="2s", when_blocked="drop", largest_backlog="32MB"
    ) as one:
        async with one.keeping():
            await until(lambda: is_received(one), "somebody receives")
            await write(server)
            await switch_log(server)
            await until(lambda: segments(one, LogState.VAULTED, LogState.VERIFIED), "a segment is stored")
        for _ in range(5):  # nobody receives: the slot keeps 80 MB
            await write(server, 20)
            await switch_log(server)
        spool = next((one.ground.directory / "spool" / CLUSTER).iterdir())
        spool.chmod(0o500)  # as a disk that takes nothing
        try:
            async with one.keeping(request=request):

                async def is_asked() -> bool:
                    return bool(asked)

                await until(is_asked, "the log is given up, and a full copy asked for")
        finally:
            spool.chmod(0o700)
        gap = (await load_catalog(one.store, CLUSTER)).gaps[0]
        assert "the limit is" in gap.reason
        assert asked[0][1] == {"cluster": CLUSTER, "kind": "full"}
