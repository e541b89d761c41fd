"""Drills on a cluster that was really backed up."""

from pathlib import Path

from drills_world import World, drilled

from dbre.capabilities.backup.catalog.drills import list_drills
from dbre.capabilities.backup.catalog.phases import list_phases
from dbre.capabilities.backup.catalog.sets import find_set
from dbre.capabilities.backup.model import DrillVerdict
from dbre.capabilities.backup.vault.opening import open_vault


async def test_the_latest_state_is_proved_with_times_and_points(world: World, place: Path) -> None:
    async with world.damaged(place) as ground:
        found = await drilled(ground, target="latest")
        assert found.verdict is DrillVerdict.PASS, [(one.level, one.name, one.detail) for one in found.results]
        assert found.level in ("L5", "L6")
        assert {one.name for one in found.phases} >= {"fetch", "verify", "scan", "replay", "check", "promote"}
        assert found.recovery_time_seconds is not None
        assert found.recovery_time_seconds > 0
        assert found.recovery_point_seconds is not None
        store = ground.store
        assert store is not None
        async with store.read() as connection:
            (stored,) = await list_drills(connection, cluster="orders")
            proven = await find_set(connection, world.set_id)
            phases = await list_phases(connection, cluster="orders")
        assert stored == found
        assert proven.proven_at == found.ended_at
        assert len(phases) == len(found.phases)
        async with open_vault(ground, "near") as vault:
            kept = (await vault.catalog("orders")).get(world.set_id)
        assert kept is not None
        assert kept.proven_at == found.ended_at
        assert not list((ground.directory / "drills").iterdir())
