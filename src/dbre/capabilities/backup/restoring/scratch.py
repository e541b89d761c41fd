"""A moment for a while: brought back in a jail, looked at, and gone."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.restoring.leftovers import tidy
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.recovering import Recovered, recovering, require_possible
from dbre.capabilities.backup.restoring.request import Asked, plan_asked, require_space
from dbre.capabilities.backup.restoring.staging import staging_root
from dbre.capabilities.backup.restoring.telling import Tell

__all__ = ["planned_moment", "scratch_moment"]


async def planned_moment(ground: BackupGround, asked: Asked) -> RestorePlan:
    """The plan, seen to be possible and to have room. Raises: as ``plan_asked``, RestoreImpossible."""
    await tidy(ground)
    plan = await plan_asked(ground, asked, ground.clock)
    require_possible(plan)
    root = await asyncio.to_thread(staging_root, ground.directory)
    await require_space(plan, staging=root, target=root)
    return plan


@asynccontextmanager
async def scratch_moment(
    ground: BackupGround, plan: RestorePlan, *, name: str | None = None, tell: Tell | None = None
) -> AsyncIterator[Recovered]:
    """A read-only server at the moment of a plan; everything of it is removed at the end.

    ``name`` names its directory, so that one that was left by a killed process is found and made anew.
    """
    from dbre.capabilities.backup.vault.opening import open_vaults

    root = await asyncio.to_thread(staging_root, ground.directory)
    directory = root / (name or f"scratch-{secrets.token_hex(8)}")
    async with (
        open_vaults(ground, plan.vaults) as vaults,
        recovering(ground, plan, vaults=vaults, directory=directory, mode="fast", tell=tell) as found,
    ):
        yield found
