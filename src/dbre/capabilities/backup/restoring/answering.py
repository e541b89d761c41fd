"""Whether the vaults of a plan are there: a restore that finds out on its way has to be undone."""

import asyncio
from collections.abc import Mapping

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.places import spool_directory
from dbre.capabilities.backup.restoring.errors import RestoreImpossible
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.taking.vaults import open_set_vault
from dbre.core.errors import DbreError, Refused, Unreachable

__all__ = ["require_sources"]


async def require_sources(ground: BackupGround, plan: RestorePlan) -> tuple[str, ...]:
    """Read the index of every vault of the plan; names of those that cannot be used, while others hold all of it.

    Raises: Unreachable where what is needed lies only in vaults that do not answer; RestoreImpossible where one of these
    answers, and cannot be used all the same.
    """
    answers = await asyncio.gather(*(_trouble_of(ground, name) for name in plan.vaults))
    troubles = {name: error for name, error in zip(plan.vaults, answers, strict=True) if error is not None}
    lacking = await asyncio.to_thread(_lacking, ground, plan, troubles) if troubles else None
    if lacking is None:
        return tuple(sorted(troubles))
    is_away = all(isinstance(one, Unreachable) for one in troubles.values())
    words = "; ".join(f"{name}: {error.message}" for name, error in troubles.items())
    raise (Unreachable if is_away else RestoreImpossible)(
        f"{lacking} lies in no vault that can be used: {words}",
        hint="; ".join(dict.fromkeys(one.hint for one in troubles.values() if one.hint)) or "dbre vault check",
        context={"vaults": list(troubles)},
    )


async def _trouble_of(ground: BackupGround, name: str) -> DbreError | None:
    try:
        async with open_set_vault(ground, name) as vault:
            await vault.facts()
            if not vault.can_read:
                return Refused("this machine has no identity that reads it", hint=f"vaults: identity of {name}")
    except DbreError as error:
        return error
    return None


def _lacking(ground: BackupGround, plan: RestorePlan, troubles: Mapping[str, DbreError]) -> str | None:
    """The first set or log file of the plan that nothing which is there has."""
    usable = set(plan.vaults) - set(troubles)
    for member in plan.chain:
        if not usable & set(member.vaults):
            return f"set {member.id}"
    spool = spool_directory(ground.directory, plan.cluster, plan.system_id)
    for log in plan.logs:
        if not usable & set(log.vaults) and not (spool / log.file.name).is_file():
            return f"log file {log.file.name}"
    return None
