"""Findings on vaults that only the vaults themselves can tell: whether they answer, and still are what was signed."""

import asyncio
from collections.abc import Sequence

from dbre.capabilities.backup.catalog.sets import list_sets
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.capabilities.backup.taking.vaults import open_set_vault
from dbre.core.checks import Finding, Severity
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.text import counted

__all__ = ["ask_vaults"]

_SHOWN = 20  # sets, in the evidence


async def ask_vaults(ground: BackupGround, clusters: Sequence[Cluster]) -> list[Finding]:
    """Read the index of each vault that policies of these clusters name, all at once; the state store alone would believe."""
    known = {one.name for one in ground.vaults}  # what is not configured is a finding already
    policies = [policy for one in clusters if (policy := ground.policy_of(one.name)) is not None]
    names = dict.fromkeys(name for policy in policies for name in policy.vaults if name in known)
    known_sets = [one for cluster in clusters for one in await _sealed(ground, cluster)]
    found = await asyncio.gather(*(_ask(ground, name, [one for one in known_sets if name in one.vaults]) for name in names))
    return [finding for findings in found for finding in findings]


async def _sealed(ground: BackupGround, cluster: Cluster) -> list[BackupSet]:
    if ground.store is None:
        return []
    async with ground.store.read() as connection:
        return list(await list_sets(connection, cluster=cluster.name, states=[SetState.SEALED]))


async def _ask(ground: BackupGround, name: str, expected: Sequence[BackupSet]) -> list[Finding]:
    try:
        async with open_set_vault(ground, name) as vault:
            facts, there = await vault.facts(), await vault.catalog()
    except DbreError as error:
        return [
            Finding(
                rule="backup.vault_not_ready",
                severity=Severity.CRITICAL,
                subject=f"vault {name}",
                summary=f"{error.message}: nothing can be restored from it, and nothing stored in it",
                fix=error.hint or f"dbre vault check {name}",
                evidence={"vault": name, "code": error.code},
            )
        ]
    present = {one.id for one in there.sets if one.state in (SetState.SEALED, SetState.TOMBSTONED)}
    problems = [
        Finding(
            rule="backup.vault_problem",
            severity=Severity.WARNING,
            subject=f"vault {name}",
            summary=one,
            fix=f"dbre vault check {name}",
            evidence={"vault": name},
        )
        for one in facts.problems
    ]
    return problems + _missing(name, [one for one in expected if one.id not in present])


def _missing(name: str, sets: Sequence[BackupSet]) -> list[Finding]:
    """A vault that was lost and begun anew, or put back, answers well and has not what was stored in it; told by cluster."""
    found = []
    for cluster in dict.fromkeys(one.cluster for one in sets):
        gone = sorted((one for one in sets if one.cluster == cluster), key=lambda one: one.started_at)
        elsewhere = next((vault for vault in gone[-1].vaults if vault != name), None)
        found.append(
            Finding(
                rule="backup.not_in_vault",
                severity=Severity.ERROR,
                subject=cluster,
                summary=f"vault {name} does not have {counted(len(gone), 'sealed set')} that were stored in it,"
                f" the newest {gone[-1].id}: nothing can be restored from there that needs one",
                fix=f"dbre vault copy {gone[-1].id} --from {elsewhere} --to {name} --with-log"
                if elsewhere is not None
                else f"dbre backup take {cluster} --kind full",
                evidence={"vault": name, "sets": [one.id for one in gone[-_SHOWN:]]},
            )
        )
    return found
