"""The catalog gives back what was put into it, on both databases, and refuses what contradicts it."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sets_kit import CLUSTER, START, SYSTEM, backup_set, history, position, segment, set_id

from dbre.capabilities.backup.catalog import canaries, clock, drills, gaps, logs, phases, sets, switches
from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.catalog.errors import NoSuchDrill, NoSuchSet
from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.catalog.phases import RestorePhase
from dbre.capabilities.backup.model import (
    Drill,
    DrillVerdict,
    LogState,
    RecoveryGap,
    SetState,
    TimelineSwitch,
    WitnessedCanary,
)
from dbre.core.errors import StoreError
from dbre.core.store import Store
from dbre.ports.backup.errors import LogConflict
from dbre.ports.backup.model import ChecksumState, CopyKind, LogKind, Phase
from dbre.ports.restored_checks import CheckOutcome, RestoredResult

OPERATION = UUID(int=9)


async def test_a_set_comes_back_as_it_was_written(store: Store) -> None:
    one = backup_set(
        1,
        kind=CopyKind.INCREMENTAL,
        parent_id=set_id(0),
        start=position(2**40 + 7, timeline=3),
        state=SetState.RUNNING,
        stop=None,
        stopped_at=None,
        bytes_stored=None,
        manifest_sha256=None,
        vaults=("near", "far"),
        proven_at=START,
        hold="case 17",
        lock_until=START + timedelta(days=35),
        details={"extensions": ["pgcrypto 1.3"], "tablespaces": {"16400": "/srv/\udcff"}},
        operation_id=OPERATION,
        checksums=ChecksumState.UNCHECKED,
    )
    async with store.begin() as connection:
        await sets.insert_set(connection, one)
    async with store.read() as connection:
        assert await sets.find_set(connection, one.id) == one
        assert await sets.get_set(connection, set_id(2)) is None


async def test_sets_are_listed_by_their_beginning_and_a_limit_keeps_the_newest(store: Store) -> None:
    made = [backup_set(number) for number in (3, 1, 2)] + [backup_set(4, cluster="other", state=SetState.FAILED)]
    async with store.begin() as connection:
        for one in made:
            await sets.insert_set(connection, one)
    async with store.read() as connection:
        assert [one.id for one in await sets.list_sets(connection, cluster=CLUSTER)] == [set_id(1), set_id(2), set_id(3)]
        assert [one.id for one in await sets.list_sets(connection, cluster=CLUSTER, limit=2)] == [set_id(2), set_id(3)]
        assert [one.id for one in await sets.list_sets(connection, states=[SetState.FAILED])] == [set_id(4)]
        assert [one.id for one in await sets.list_sets(connection, since=made[0].started_at)] == [set_id(3), set_id(4)]


async def test_writing_a_set_anew_leaves_its_proof_and_its_hold_to_those_who_wrote_them(store: Store) -> None:
    one = backup_set(1, state=SetState.VERIFIED)
    async with store.begin() as connection:
        await sets.insert_set(connection, one)
        await sets.set_hold(connection, one.id, "case 17")
        await sets.mark_proven(connection, one.id, START + timedelta(hours=2))
        await sets.mark_proven(connection, one.id, START + timedelta(hours=1))
        await sets.update_set(connection, replace(one, state=SetState.SEALED))
        found = await sets.find_set(connection, one.id)
    assert (found.state, found.hold, found.proven_at) == (SetState.SEALED, "case 17", START + timedelta(hours=2))


async def test_a_state_changes_only_from_an_expected_one(store: Store) -> None:
    async with store.begin() as connection:
        await sets.insert_set(connection, backup_set(1))
        assert not await sets.change_state(connection, set_id(1), SetState.DELETED, expected=[SetState.TOMBSTONED])
        assert await sets.change_state(connection, set_id(1), SetState.TOMBSTONED, expected=[SetState.SEALED])
        assert not await sets.change_state(connection, set_id(2), SetState.DELETED)


async def test_a_set_is_named_by_a_unique_end_of_its_id(store: Store) -> None:
    async with store.begin() as connection:
        await sets.insert_set(connection, backup_set(1, id="019a0000-0000-7000-8000-00000000abcd"))
        await sets.insert_set(connection, backup_set(2, id="019a0000-0000-7000-8000-10000000abcd"))
        assert (await sets.set_named(connection, "set/019A0000-0000-7000-8000-00000000ABCD")).started_at == backup_set(
            1
        ).started_at
        assert (await sets.set_named(connection, "10000000abcd")).started_at == backup_set(2).started_at
        with pytest.raises(NoSuchSet, match="more than one set ends with"):
            await sets.set_named(connection, "abcd")
        for word in ("%%%%", "____", "bcd", "", "nothing"):
            with pytest.raises(NoSuchSet, match="there is no set"):
                await sets.set_named(connection, word)
        with pytest.raises(NoSuchSet):
            await sets.update_set(connection, backup_set(3))


async def test_the_same_log_file_twice_is_one_and_another_of_its_name_is_a_conflict(store: Store) -> None:
    one = segment(3, last_commit_at=START)
    other = replace(one, file=replace(one.file, sha256="f" * 64))
    async with store.begin() as connection:
        assert await logs.insert_log(connection, one)
        assert not await logs.insert_log(connection, one)
        with pytest.raises(LogConflict, match=f"log file '?{one.file.name}'? of {CLUSTER} is known"):
            await logs.insert_log(connection, other)
        assert await logs.get_log(connection, CLUSTER, SYSTEM, one.file.name) == one
        assert await logs.insert_log(connection, replace(other, system_id="another")), "another server may use the name"


async def test_a_partial_file_is_replaced_and_a_lost_one_may_be_found(store: Store) -> None:
    partial = segment(3, state=LogState.RECEIVED)
    partial = replace(partial, file=replace(partial.file, name=f"{partial.file.name}.partial", kind=LogKind.PARTIAL))
    newer = replace(partial, file=replace(partial.file, sha256="e" * 64))
    lost = segment(4, state=LogState.LOST)
    found = replace(lost, state=LogState.RECEIVED, file=replace(lost.file, sha256="d" * 64))
    async with store.begin() as connection:
        assert await logs.insert_log(connection, partial)
        assert await logs.insert_log(connection, newer)
        assert await logs.insert_log(connection, lost)
        assert await logs.insert_log(connection, found)
        assert await logs.list_logs(connection, CLUSTER) == [newer, found]


async def test_log_files_are_listed_by_timeline_and_place_and_marked_together(store: Store) -> None:
    made = [segment(number) for number in (2, 1, 3)] + [segment(2, timeline=2, state=LogState.RECEIVED)]
    async with store.begin() as connection:
        for one in made:
            await logs.insert_log(connection, one)
        listed = await logs.list_logs(connection, CLUSTER)
        assert [(one.file.timeline, one.file.start >> 24) for one in listed] == [(1, 1), (1, 2), (1, 3), (2, 2)]
        assert await logs.list_logs(connection, CLUSTER, limit=1) == [made[3]]
        assert await logs.list_logs(connection, CLUSTER, timeline=1, ends_after=made[0].file.end) == [made[2]]
        names = [made[0].file.name, made[3].file.name, "no such name"]
        assert await logs.mark_logs(connection, CLUSTER, SYSTEM, names, state=LogState.VERIFIED, vaults=["near", "far"]) == 2
        verified = await logs.list_logs(connection, CLUSTER, states=[LogState.VERIFIED])
        assert [(one.file.name, one.vaults) for one in verified] == [(name, ("near", "far")) for name in names[:2]]
        assert await logs.delete_logs(connection, CLUSTER, SYSTEM, names) == 2
        assert await logs.mark_logs(connection, CLUSTER, SYSTEM, names) == 0


async def test_a_timeline_that_is_said_to_begin_elsewhere_is_a_conflict(store: Store) -> None:
    one = TimelineSwitch(system_id=SYSTEM, timeline=2, parent=1, at=2**40)
    async with store.begin() as connection:
        assert await switches.insert_switch(connection, one)
        assert not await switches.insert_switch(connection, one)
        with pytest.raises(LogConflict, match="is known to leave timeline 1 at 0x10000000000"):
            await switches.insert_switch(connection, replace(one, at=5))
        assert await switches.list_switches(connection, [SYSTEM, "another"]) == [one]
        assert await switches.list_switches(connection, []) == []


async def test_a_gap_is_written_closed_and_listed(store: Store) -> None:
    one = RecoveryGap(
        id=UUID(int=1),
        cluster=CLUSTER,
        system_id=SYSTEM,
        timeline=1,
        start=5,
        end=None,
        began_at=START,
        ended_at=None,
        reason="the slot was dropped",
        remedy="operation 17",
    )
    closed = replace(one, end=9, ended_at=START + timedelta(hours=1))
    async with store.begin() as connection:
        await gaps.insert_gap(connection, one)
        assert await gaps.list_gaps(connection, CLUSTER, is_open=True) == [one]
        await gaps.update_gap(connection, closed)
        assert await gaps.get_gap(connection, one.id) == closed
        assert await gaps.list_gaps(connection, is_open=True) == []
        assert await gaps.list_gaps(connection, "other") == []
        assert await gaps.list_gaps(connection, since=START + timedelta(hours=2)) == []


async def test_a_drill_comes_back_with_its_phases_and_results(store: Store) -> None:
    one = Drill(
        id=UUID(int=1),
        cluster=CLUSTER,
        set_id=set_id(1),
        system_id=SYSTEM,
        target_kind="time",
        target_value="2026-11-21T02:00:00Z",
        mode="faithful",
        started_at=START,
        ended_at=START + timedelta(minutes=3),
        phases=(Phase(name="fetch", seconds=1.5, bytes=10), Phase(name="start", seconds=0.2)),
        reached=position(77),
        reached_commit_at=START,
        results=(
            RestoredResult(
                level="L4", name="amcheck", outcome=CheckOutcome.PASS, detail="7 tables", seconds=0.5, evidence={"tables": 7}
            ),
        ),
        recovery_point_seconds=0.5,
        recovery_time_seconds=None,
        verdict=DrillVerdict.PASS,
        reason="every check passed",
        level="L5",
        operation_id=OPERATION,
    )
    later = replace(one, id=UUID(int=2), ended_at=one.ended_at + timedelta(days=1), verdict=DrillVerdict.FAIL, reached=None)
    async with store.begin() as connection:
        await drills.insert_drill(connection, one)
        await drills.insert_drill(connection, later)
        assert await drills.find_drill(connection, one.id) == one
        assert await drills.list_drills(connection, cluster=CLUSTER) == [later, one]
        assert await drills.newest_drill(connection, CLUSTER) == later
        assert await drills.newest_drill(connection, CLUSTER, verdicts=[DrillVerdict.PASS]) == one
        assert await drills.newest_drill(connection, "other") is None
        with pytest.raises(NoSuchDrill):
            await drills.find_drill(connection, UUID(int=3))


async def test_phases_of_an_operation_that_was_resumed_are_written_once(store: Store) -> None:
    one = RestorePhase(
        operation_id=OPERATION,
        number=1,
        cluster=CLUSTER,
        engine="postgres",
        vault="near",
        phase=Phase(name="fetch", seconds=3.0, bytes=100),
        is_faithful=True,
        at=START,
    )
    fast = replace(one, number=2, is_faithful=False, vault=None, phase=Phase(name="start", seconds=1.0))
    async with store.begin() as connection:
        await phases.record_phases(connection, [one, fast])
        await phases.record_phases(connection, [replace(one, phase=Phase(name="fetch", seconds=2.0, bytes=100))])
        found = await phases.list_phases(connection, operation_id=OPERATION)
        assert [(one.phase.name, one.phase.seconds, one.vault) for one in found] == [
            ("fetch", 2.0, "near"),
            ("start", 1.0, None),
        ]
        assert [one.number for one in await phases.list_phases(connection, only_faithful=True, engine="postgres")] == [1]


async def test_samples_of_the_clock_are_thinned_with_age(store: Store) -> None:
    made = [
        ClockSample(cluster=CLUSTER, system_id=SYSTEM, at=START + timedelta(seconds=second), timeline=1, value=second * 10)
        for second in range(100)
    ]
    async with store.begin() as connection:
        await clock.insert_samples(connection, made)
        await clock.insert_samples(connection, made[:3])
        assert await clock.list_samples(connection, CLUSTER, since=made[90].at, until=made[92].at) == made[90:93]
        assert await clock.list_samples(connection, CLUSTER, limit=2) == made[98:]
        gone = await clock.thin_samples(
            connection, CLUSTER, older_than=made[60].at, every=timedelta(seconds=20), forget_before=made[20].at
        )
        left = await clock.list_samples(connection, CLUSTER)
    assert gone == 20 + 38
    assert left == [made[20], made[40], *made[60:]]


async def test_a_witness_is_never_replaced(store: Store) -> None:
    one = WitnessedCanary(cluster=CLUSTER, sequence=1, at=START, hash="a" * 64, position=position(5))
    async with store.begin() as connection:
        await canaries.insert_witness(connection, one)
        await canaries.insert_witness(connection, replace(one, sequence=2, at=START + timedelta(seconds=10), position=None))
    with pytest.raises(StoreError):
        async with store.begin() as connection:
            await canaries.insert_witness(connection, replace(one, hash="b" * 64))
    async with store.begin() as connection:
        assert await canaries.get_witness(connection, CLUSTER, 1) == one
        assert await canaries.newest_witness(connection, CLUSTER, until=START + timedelta(seconds=9)) == one
        assert [one.sequence for one in await canaries.list_witnesses(connection, CLUSTER)] == [1, 2]
        assert await canaries.prune_witnesses(connection, CLUSTER, before=START + timedelta(seconds=1)) == 1
        assert await canaries.get_witness(connection, CLUSTER, 1) is None


async def test_the_catalog_of_a_cluster_has_its_own_things_only(store: Store) -> None:
    async with store.begin() as connection:
        await sets.insert_set(connection, backup_set(1))
        await sets.insert_set(connection, backup_set(2, cluster="other", system_id="another"))
        await logs.insert_log(connection, segment(10))
        await logs.insert_log(connection, history(2))
        await logs.insert_log(connection, replace(segment(10), cluster="other", system_id="another"))
        for system in (SYSTEM, "another"):
            await switches.insert_switch(connection, TimelineSwitch(system_id=system, timeline=2, parent=1, at=5))
    catalog = await load_catalog(store, CLUSTER)
    assert catalog.sets == (backup_set(1),)
    assert catalog.logs == (segment(10), history(2))
    assert catalog.histories() == (history(2),)
    assert [one.system_id for one in catalog.switches] == [SYSTEM]
    assert await load_catalog(store, "nothing") == replace(catalog, sets=(), logs=(), switches=())
