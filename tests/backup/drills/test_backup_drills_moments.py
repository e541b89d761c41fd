"""Moments that drills bring back: drawn, asked for, repeated, and looked at by other eyes."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from drills_world import CLUSTER, World, drilled, walk

from dbre.app import Engines
from dbre.capabilities.backup.drilling.documents import DrillInput
from dbre.capabilities.backup.model import Drill, DrillVerdict
from dbre.capabilities.backup.operations.drill_backup import DrillBackup
from dbre.capabilities.backup.restoring.errors import InvalidTarget
from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.operation.context import PlanContext
from dbre.core.operation.plan import LockMode, Risk
from dbre.ports.backup.model import Place
from dbre.ports.restored_checks import CheckedServer, RestoredResult

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # a busy machine needs minutes for the server of all tests


def told(found: Drill) -> list[tuple[str, str, str, str]]:
    return [(one.level, one.name, one.outcome.value, one.detail) for one in found.results]


class CountOrders:
    """A check from outside, as other capabilities bring them."""

    name = "count"

    def __init__(self) -> None:
        self.counts: list[object] = []

    async def run(self, checked: CheckedServer) -> list[RestoredResult]:
        row = await _ask(checked)
        self.counts.append(row["n"])
        return []


async def _ask(checked: CheckedServer) -> dict[str, object]:

    server = Engines().get(checked.engine).connect(replace(checked.access, database="shop"))
    try:
        return dict(await server.session.read_row("SELECT count(*) AS n FROM public.orders"))
    finally:
        await server.aclose()


async def test_a_moment_comes_back_with_exactly_the_rows_that_it_had(world: World, place: Path) -> None:
    count = CountOrders()
    async with world.damaged(place) as ground:
        seen = replace(ground, checks=(count,))
        found = await drilled(seen, target=world.middle.isoformat(), mode="fast")
    assert found.verdict is DrillVerdict.PASS, told(found)
    assert count.counts == [world.middle_rows]
    assert found.target_kind == "time"
    assert found.recovery_time_seconds is None  # fast: no measure of time
    assert found.recovery_point_seconds is not None
    assert found.recovery_point_seconds < 2.5  # canaries are written each second


async def test_a_random_moment_is_the_same_for_the_same_operation_and_passes(world: World, place: Path) -> None:
    number = uuid4()
    async with world.damaged(place) as ground:
        leftovers = ground.directory / "drills" / str(number) / "data"
        leftovers.mkdir(mode=0o700, parents=True)
        for one in (ground.directory / "drills", leftovers.parent):
            one.chmod(0o711)
        (leftovers / "postmaster.pid").write_text("1\n")  # of an attempt that was killed
        first = await drilled(ground, number=number, target="random", mode="fast")
        again = await walk(DrillBackup(ground), {"cluster": CLUSTER, "target": "random", "mode": "fast"}, number=number)
    assert first.verdict is DrillVerdict.PASS, told(first)
    assert first.target_kind == "time"
    assert again["choose"]["at"] is not None
    assert first.target_value == again["choose"]["at"]
    assert again["record"]["drill"] == str(number)


async def test_rows_equal_those_of_the_live_server(world: World, place: Path) -> None:
    async with world.damaged(place, drill={"checks": ["rows"]}) as ground:
        found = await drilled(ground, target="latest", mode="fast")
    assert found.verdict is DrillVerdict.PASS, told(found)
    (rows,) = [one for one in found.results if one.name == "rows"]
    assert f"{world.rows} rows as on drills" in rows.detail


async def test_programs_that_are_missing_are_no_fault_of_the_backup(world: World, place: Path) -> None:
    async with world.damaged(place) as ground:
        here = ground.place
        bare = replace(ground, find_place=lambda: Place(account=here.account, cache=here.cache, bindir=place))
        found = await drilled(bare, target="latest", mode="fast")
    assert found.verdict is DrillVerdict.INCONCLUSIVE, told(found)


async def test_the_plan_reads_only_and_is_the_same_each_time(world: World, place: Path) -> None:
    async with world.damaged(place) as ground:
        operation, context = DrillBackup(ground), PlanContext(clock=SystemClock(), requested_by="somebody")
        one = await operation.plan(context, DrillInput(cluster=CLUSTER))
        assert one == await operation.plan(context, DrillInput(cluster=CLUSTER))
        assert (one.risk, one.lock) == (Risk.READ, LockMode.SHARED)
        with pytest.raises(InvalidTarget, match="offset"):
            await operation.plan(context, DrillInput(cluster=CLUSTER, target="2026-11-21T04:00:00"))
        with pytest.raises(UsageError):
            await operation.plan(context, DrillInput(cluster="nothing"))


async def test_a_cluster_without_any_set_is_refused(world: World, place: Path) -> None:
    async with world.damaged(place) as ground:
        store = ground.store
        assert store is not None
        async with store.begin() as connection:
            from sqlalchemy import delete

            from dbre.capabilities.backup.tables import backup_set

            await connection.execute(delete(backup_set))
        context = PlanContext(clock=SystemClock(), requested_by="somebody")
        with pytest.raises(PrecheckFailed, match="no sealed set"):
            await DrillBackup(ground).plan(context, DrillInput(cluster=CLUSTER))
