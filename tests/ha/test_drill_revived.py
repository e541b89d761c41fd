"""A drill whose process was killed leaves a dead server: it is started where nobody else can be primary, and only there."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from failover_kit import CLOCK, fleet_with_control
from ha_live import Engines

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.drills.document import DrillKind
from dbre.capabilities.ha.drills.ground import DrillGround
from dbre.capabilities.ha.drills.reviving import revive
from dbre.core.operation.context import StepContext
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair

pytestmark = [pytest.mark.slow, pytest.mark.soak]


PLAN = {
    "sites": [{"name": "east", "instances": ["n1", "n2"]}, {"name": "west", "instances": ["n3"]}],
    "objectives": {"rpo": "10s", "rto": "2m"},
}


def ground_of(servers: dict[str, Any], directory: Path) -> DrillGround:
    unused = cast("Any", None)
    return DrillGround(
        fleet=fleet_with_control("postgresql", servers),
        engines=Engines(),
        clock=CLOCK,
        settings=HaDocument.model_validate({"clusters": [{"cluster": "shop", "disaster": PLAN}]}),
        clients=unused,
        faults=unused,
        directory=directory,
        store=None,
    )


async def test_a_dead_primary_is_started_unless_another_one_takes_writes(postgres_pair: PostgresPair, tmp_path: Path) -> None:
    primary, replica = postgres_pair.primary, postgres_pair.replica
    ground = ground_of({"n1": primary, "n2": replica}, tmp_path)
    told: list[str] = []

    async def note(text: str) -> None:
        told.append(text)

    async def revived(kind: DrillKind = DrillKind.LEADER_CRASH) -> str:
        told.clear()
        await revive(ground, cast("StepContext", SimpleNamespace(note=note)), ground.fleet.cluster("shop"), kind=kind)
        return " ".join(told)

    assert await revived() == ""  # nobody is dead
    await primary.kill()
    assert "n1 was dead, and is started again" in await revived()
    assert await primary.role() is Role.PRIMARY

    await asyncio.gather(primary.kill(), replica.kill())
    assert "n2 is dead, and nobody takes writes" in await revived()
    assert not primary.processes()
    assert "n2 was dead, and is started again" in await revived(DrillKind.REGION_LOSS)  # their site was killed
    assert (await primary.role(), await replica.role()) == (Role.PRIMARY, Role.REPLICA)

    await primary.kill()
    async with await replica.connect() as admin:
        await admin.execute("SELECT pg_promote(true, 60)")
    assert "n2 takes writes: let it follow with dbre ha rejoin shop n1" in await revived()
    assert not primary.processes()
