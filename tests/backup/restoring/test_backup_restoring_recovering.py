"""Moments of a real cluster are brought back and compared with what its client was told."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from restoring_scene_kit import CLUSTER, Scene

from dbre.capabilities.backup.catalog.clock import list_samples
from dbre.capabilities.backup.restoring.booting import log_of
from dbre.capabilities.backup.restoring.members import fetch_members
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.planned_log import fetch_log, scan_planned_log
from dbre.capabilities.backup.restoring.recovering import Recovered, recovering
from dbre.capabilities.backup.restoring.request import Asked, plan_asked, plan_over
from dbre.capabilities.backup.restoring.staging import Staging
from dbre.capabilities.backup.vault.opening import open_vaults
from dbre.core.clock import SystemClock
from dbre.ports.backup.errors import CopyDamaged, LogGap, TargetNotReached
from dbre.ports.backup.model import RecoveryTarget, TargetKind

pytestmark = pytest.mark.timeout(300)  # a busy machine needs minutes for the cluster of all tests


async def plan_of(scene: Scene, target: RecoveryTarget, **given: object) -> RestorePlan:
    return await plan_asked(scene.ground, Asked(cluster=CLUSTER, target=target, **given), SystemClock())  # type: ignore[arg-type]


async def rows_at(scene: Scene, plan: RestorePlan, directory: Path, **given: object) -> tuple[set[int], Recovered]:
    async with (
        open_vaults(scene.ground, plan.vaults) as vaults,
        recovering(scene.ground, plan, vaults=vaults, directory=directory, **given) as found,  # type: ignore[arg-type]
    ):
        return {int(str(row[0])) for row in await read(found, "SELECT id FROM ledger")}, found


async def read(found: Recovered, text: str) -> Sequence[tuple[object, ...]]:
    access = found.server.access
    connection = await psycopg.AsyncConnection.connect(
        host=access.address.host, port=access.address.port, user=access.user, dbname="postgres", autocommit=True
    )
    async with connection:
        cursor = await connection.execute(text.encode())
        return await cursor.fetchall()


def at_time(moment: datetime) -> RecoveryTarget:
    return RecoveryTarget(kind=TargetKind.TIME, at=moment)


async def test_a_moment_has_exactly_the_rows_that_were_committed_then(scene: Scene) -> None:
    moment = scene.ledger[150].before
    plan = await plan_of(scene, at_time(moment))
    rows, found = await rows_at(scene, plan, scene.root / "one")
    must, may = scene.visible_at(moment)
    assert must <= rows <= may
    assert found.server.outcome.has_reached_target
    assert [one.name for one in found.phases][:3] == ["fetch"] * len(plan.chain)
    assert not (scene.root / "one").exists()


async def test_random_moments_have_exactly_the_rows_that_were_committed_then(scene: Scene) -> None:
    """The seed is fixed, so that a failure can be had again; the moments fall into and between all sets and commits."""
    for number, moment in enumerate(scene.random_moments(6, seed=20261121)):
        plan = await plan_of(scene, at_time(moment))
        rows, found = await rows_at(scene, plan, scene.root / f"random-{number}", mode="fast")
        must, may = scene.visible_at(moment)
        assert must <= rows <= may, f"moment {number}: {moment}, lost {must - rows}, too much {rows - may}"
        assert found.server.outcome.has_reached_target
        assert plan.newest.stopped_at is not None
        assert plan.newest.stopped_at < moment


async def test_a_moment_after_the_last_commit_is_the_end_of_the_log(scene: Scene) -> None:
    """PostgreSQL would end with an error, as it finds no commit after it; the clock proves that nothing is missing."""
    moment = await scene.sample()
    await scene.keep_log()  # an idle server writes a few bytes now and then
    plan = await plan_of(scene, at_time(moment))
    assert plan.is_possible
    assert plan.may_end_with_log
    rows, found = await rows_at(scene, plan, scene.root / "quiet", mode="fast")
    assert rows == {one.id for one in scene.ledger}
    assert found.server.outcome.position is not None


async def test_the_position_where_the_last_file_ends_is_the_end_of_the_log(scene: Scene) -> None:
    """The map shows it as what can be recovered; nothing lies there by which a server could tell that it has come so far."""
    end = (await plan_of(scene, RecoveryTarget(kind=TargetKind.LATEST))).end
    assert end is not None
    plan = await plan_of(scene, RecoveryTarget(kind=TargetKind.POSITION, value=end.text))
    rows, found = await rows_at(scene, plan, scene.root / "edge", mode="fast")
    assert rows == {one.id for one in scene.ledger}
    assert found.server.outcome.has_reached_target


async def test_a_position_leaves_out_what_was_committed_behind_it(scene: Scene) -> None:
    entry = scene.ledger[170]
    plan = await plan_of(scene, RecoveryTarget(kind=TargetKind.POSITION, value=scene.sets[-1].stop.text))  # type: ignore[union-attr]
    rows, _ = await rows_at(scene, plan, scene.root / "position", mode="fast")
    assert scene.sets[-1].stopped_at is not None
    assert {one.id for one in scene.ledger if one.after < scene.sets[-1].started_at} <= rows
    assert entry.id not in rows


async def test_a_named_point_is_found(scene: Scene) -> None:
    plan = await plan_of(scene, RecoveryTarget(kind=TargetKind.NAME, value="before_the_accident"))
    rows, _ = await rows_at(scene, plan, scene.root / "named", mode="fast")
    assert rows == set(range(1, 201))


async def test_a_name_that_never_was_is_told_and_nothing_is_left(scene: Scene) -> None:
    plan = await plan_of(scene, RecoveryTarget(kind=TargetKind.NAME, value="never"))
    with pytest.raises(TargetNotReached, match=r"the log that there is ends at .*: name never was not found in it"):
        await rows_at(scene, plan, scene.root / "never", mode="fast")
    assert not (scene.root / "never").exists()


async def test_all_that_there_is(scene: Scene) -> None:
    plan = await plan_of(scene, RecoveryTarget(kind=TargetKind.LATEST))
    rows, found = await rows_at(scene, plan, scene.root / "latest", mode="fast")
    assert rows == {one.id for one in scene.ledger}
    names = [one.name for one in found.phases]
    assert names[-3:] == ["combine", "start", "replay"]
    assert names.count("fetch") == names.count("verify") == 3


async def test_the_copy_itself(scene: Scene) -> None:
    plan = await plan_of(scene, RecoveryTarget(kind=TargetKind.IMMEDIATE), set_id=scene.sets[0].id)
    rows, _ = await rows_at(scene, plan, scene.root / "immediate", mode="fast")
    assert set(range(1, 21)) <= rows
    assert 81 not in rows


async def test_an_accepted_loss_ends_where_the_log_ends(scene: Scene) -> None:
    """The last file of log is gone from the catalog: all before it comes back, and the plan says what does not."""
    catalog = await scene.catalog()
    newest = scene.sets[-1].stop
    assert newest is not None
    cut = replace(catalog, logs=tuple(one for one in catalog.logs if one.file.start <= newest.value))
    async with scene.store.read() as connection:
        samples = tuple(await list_samples(connection, CLUSTER))
    asked = Asked(cluster=CLUSTER, target=at_time(scene.ledger[-1].after), accept_loss=True)
    plan = plan_over(scene.ground, cut, samples, asked, SystemClock())
    assert plan.loss is not None
    rows, _ = await rows_at(scene, plan, scene.root / "loss", mode="fast")
    assert rows < {one.id for one in scene.ledger}
    assert rows == set(range(1, len(rows) + 1))


class TestDamage:
    """Every damage is named before anything is made of the copies."""

    async def raised(self, scene: Scene, name: str, damage: Callable[[Staging, RestorePlan], None]) -> CopyDamaged:
        plan = await plan_of(scene, RecoveryTarget(kind=TargetKind.LATEST))
        staging = Staging(root=scene.root / name, account=scene.ground.place.account)
        await staging.prepare()
        async with open_vaults(scene.ground, plan.vaults) as vaults:
            await fetch_members(plan, staging, vaults)
            await fetch_log(plan, staging, log_of(scene.ground, plan, vaults))
            damage(staging, plan)
            with pytest.raises(CopyDamaged) as caught:
                async with recovering(scene.ground, plan, vaults=vaults, directory=staging.root):
                    pytest.fail("it was brought to life")
        assert not staging.root.exists()
        return caught.value

    async def test_a_flipped_byte_in_the_full_set(self, scene: Scene) -> None:
        def flip(staging: Staging, plan: RestorePlan) -> None:
            path = staging.sets / plan.chain[0].id / "global" / "1262"
            data = bytearray(path.read_bytes())
            data[100] ^= 1
            path.write_bytes(data)

        error = await self.raised(scene, "flip", flip)
        assert f"set {scene.sets[0].id}: checksum global/1262" in error.message
        assert [one["rule"] for one in error.context["faults"]] == ["checksum"]  # type: ignore[attr-defined]

    async def test_a_missing_file_in_an_incremental(self, scene: Scene) -> None:
        error = await self.raised(
            scene, "missing", lambda staging, plan: (staging.sets / plan.chain[1].id / "PG_VERSION").unlink()
        )
        assert f"set {scene.sets[1].id}: missing_file PG_VERSION" in error.message

    async def test_one_set_in_the_place_of_another(self, scene: Scene) -> None:
        """Whole, verified and of the right system, but another one."""

        def swap(staging: Staging, plan: RestorePlan) -> None:
            first, second = (staging.sets / one.id for one in plan.chain[1:])
            first.rename(staging.sets / "other")
            second.rename(first)
            (staging.sets / "other").rename(second)

        error = await self.raised(scene, "swapped", swap)
        assert "wrong_set" in error.message
        assert "manifest" in error.message

    async def test_a_file_of_log_that_changed_in_the_staging_is_fetched_again(self, scene: Scene) -> None:
        plan = await plan_of(scene, RecoveryTarget(kind=TargetKind.LATEST))
        staging = Staging(root=scene.root / "again", account=scene.ground.place.account)
        await staging.prepare()
        async with open_vaults(scene.ground, plan.vaults) as vaults:
            await fetch_log(plan, staging, log_of(scene.ground, plan, vaults))
            path = staging.log / plan.logs[0].file.name
            path.write_bytes(bytes(100))
            await fetch_log(plan, staging, log_of(scene.ground, plan, vaults))
            assert path.stat().st_size == plan.logs[0].file.size
        await staging.remove()

    async def test_log_whose_records_are_damaged_though_its_sum_is_right(self, scene: Scene) -> None:
        """Damaged before it was received: replay would end there without a word."""
        plan = await plan_of(scene, RecoveryTarget(kind=TargetKind.LATEST))
        staging = Staging(root=scene.root / "records", account=scene.ground.place.account)
        await staging.prepare()
        async with open_vaults(scene.ground, plan.vaults) as vaults:
            source = log_of(scene.ground, plan, vaults)
            await fetch_log(plan, staging, source)
        path = staging.log / plan.logs[1].file.name  # the first ends with the copy
        data = bytearray(path.read_bytes())
        data[3_000] ^= 0xFF
        path.write_bytes(data)
        with pytest.raises(CopyDamaged, match="the log that would be replayed is damaged") as caught:
            await scan_planned_log(plan, staging, scene.port)
        assert [one["rule"] for one in caught.value.context["faults"]] == ["log_damaged"]  # type: ignore[attr-defined]
        await staging.remove()

    async def test_log_that_went_after_it_was_planned_is_a_gap(self, scene: Scene) -> None:
        class Nothing:
            async def fetch(self, name: str, into: Path) -> bool:  # noqa: ARG002 -- a LogFetch
                return False

        plan = await plan_of(scene, RecoveryTarget(kind=TargetKind.LATEST))
        async with open_vaults(scene.ground, plan.vaults) as vaults:
            with pytest.raises(LogGap, match="is in the catalog, and in no vault and no spool"):
                async with recovering(scene.ground, plan, vaults=vaults, directory=scene.root / "gap", log=Nothing()):
                    pytest.fail("it was brought to life")
        assert not (scene.root / "gap").exists()


async def test_a_vault_that_is_damaged_is_passed_over_where_another_holds_the_set(scene: Scene) -> None:
    class Broken:
        name = "attic"

        async def fetch_set(self, set_id: str, into: Path, progress: object) -> None:  # noqa: ARG002 -- a vault
            (into / "half").write_text("of it")
            raise CopyDamaged(f"an object of set {set_id} is not what was stored")

    plan = await plan_of(scene, RecoveryTarget(kind=TargetKind.IMMEDIATE), set_id=scene.sets[0].id)
    both = replace(plan, chain=tuple(replace(one, vaults=("attic", "cellar")) for one in plan.chain))
    staging = Staging(root=scene.root / "both", account=scene.ground.place.account)
    await staging.prepare()
    async with open_vaults(scene.ground, ("cellar",)) as vaults:
        await fetch_members(both, staging, (Broken(), *vaults))  # type: ignore[arg-type]
        assert (await scene.port.verify(staging.sets / scene.sets[0].id)).is_good
        await staging.forget_note(f"fetched-{scene.sets[0].id}")
        with pytest.raises(CopyDamaged, match="is not what was stored"):
            await fetch_members(both, staging, (Broken(),))  # type: ignore[arg-type]
    await staging.remove()
