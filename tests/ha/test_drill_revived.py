"""A drill whose process was killed leaves a dead server: it is started where nobody else can be primary, and only there."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from failover_kit import CLOCK, fleet_with_control
from ha_live import Engines

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.drills.ground import DrillGround
from dbre.capabilities.ha.drills.reviving import revive
from dbre.core.operation.context import StepContext
from dbre.ports.session import Role
from dbre.testing.fixtures import PostgresPair

pytestmark = [pytest.mark.slow, pytest.mark.soak]


async def test_a_dead_primary_is_started_unless_another_one_takes_writes(postgres_pair: PostgresPair, tmp_path: Path) -> None:
    primary, replica = postgres_pair.primary, postgres_pair.replica
    fleet = fleet_with_control("postgresql", {"n1": primary, "n2": replica})
    unused = cast("Any", None)
    ground = DrillGround(
        fleet=fleet,
        engines=Engines(),
        clock=CLOCK,
        settings=HaDocument.model_validate({}),
        clients=unused,
        faults=unused,
        directory=tmp_path,
        store=None,
    )
    told: list[str] = []

    async def note(text: str) -> None:
        told.append(text)

    async def revived() -> str:
        told.clear()
        await revive(ground, cast("StepContext", SimpleNamespace(note=note)), fleet.cluster("shop"))
        return " ".join(told)

    assert await revived() == ""  # nobody is dead
    await primary.kill()
    assert "n1 was dead, and is started again" in await revived()
    assert await primary.role() is Role.PRIMARY

    await primary.kill()
    async with await replica.connect() as admin:
        await admin.execute("SELECT pg_promote(true, 60)")
    assert "n2 takes writes: let it follow with dbre ha rejoin shop n1" in await revived()
    assert not primary.processes()
