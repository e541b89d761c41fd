"""A restore from a vault alone, with no state store and no living cluster."""

import shutil
from dataclasses import replace

import pytest
from restoring_scene_kit import CLUSTER, Scene, ground_of

from dbre.capabilities.backup.alone.restoring import plan_alone, restore_alone
from dbre.capabilities.backup.restoring.errors import NoSetForTarget
from dbre.capabilities.backup.restoring.request import Asked
from dbre.core.errors import UsageError
from dbre.core.fleet import Fleet
from dbre.ports.backup.model import RecoveryTarget, TargetKind

pytestmark = pytest.mark.timeout(300)  # a busy machine needs minutes for the cluster of all tests


async def test_a_moment_comes_back_from_the_vault_alone(scene: Scene) -> None:
    ground = replace(ground_of(scene.given, None), fleet=Fleet(clusters=()))
    target = RecoveryTarget(kind=TargetKind.TIME, at=scene.ledger[150].before)
    plan = await plan_alone(ground, Asked(cluster=CLUSTER, target=target, vault="cellar"))
    directory = scene.root / "alone"
    done = await restore_alone(ground, plan, directory)
    assert done.outcome.has_reached_target
    assert (directory / "PG_VERSION").read_text() == "18\n"
    assert not (directory / "recovery.signal").exists()
    assert not list(scene.root.glob(".alone*"))
    assert not list((ground.directory / "restoring").iterdir())
    shutil.rmtree(directory)


async def test_a_vault_that_has_no_set_of_the_cluster_says_so(scene: Scene) -> None:
    ground = ground_of(scene.given, None)
    with pytest.raises(NoSetForTarget, match="no sealed set"):
        await plan_alone(ground, Asked(cluster=CLUSTER, target=RecoveryTarget(kind=TargetKind.LATEST), vault="attic"))
    with pytest.raises(UsageError, match="vault cellar has no set of a cluster 'ordres'") as caught:
        await plan_alone(ground, Asked(cluster="ordres", target=RecoveryTarget(kind=TargetKind.LATEST), vault="cellar"))
    assert caught.value.hint == f"it has sets of: {CLUSTER}"
