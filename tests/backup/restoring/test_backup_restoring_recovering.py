"""Moments of a real cluster are brought back and compared with what its client was told."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import psycopg
from scene_kit import CLUSTER, Scene

from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.recovering import Recovered, recovering
from dbre.capabilities.backup.restoring.request import Asked, plan_asked
from dbre.capabilities.backup.vault.opening import open_vaults
from dbre.core.clock import SystemClock
from dbre.ports.backup.model import RecoveryTarget, TargetKind


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
    moment = scene.ledger[150].before + (scene.ledger[150].after - scene.ledger[150].before) * 0
    plan = await plan_of(scene, at_time(moment))
    rows, found = await rows_at(scene, plan, scene.root / "one")
    must, may = scene.visible_at(moment)
    assert must <= rows <= may
    assert found.server.outcome.has_reached_target
    assert [one.name for one in found.phases][:3] == ["fetch"] * len(plan.chain)
    assert not (scene.root / "one").exists()
