"""Findings on vaults that only the vaults themselves can tell: whether they answer, and still are what was signed."""

import asyncio
from collections.abc import Sequence

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.taking.vaults import open_set_vault
from dbre.core.checks import Finding, Severity
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster

__all__ = ["ask_vaults"]


async def ask_vaults(ground: BackupGround, clusters: Sequence[Cluster]) -> list[Finding]:
    """Read the index of each vault that policies of these clusters name, all at once; the state store alone would believe."""
    known = {one.name for one in ground.vaults}  # what is not configured is a finding already
    policies = [policy for one in clusters if (policy := ground.policy_of(one.name)) is not None]
    names = dict.fromkeys(name for policy in policies for name in policy.vaults if name in known)
    found = await asyncio.gather(*(_ask(ground, name) for name in names))
    return [finding for findings in found for finding in findings]


async def _ask(ground: BackupGround, name: str) -> list[Finding]:
    try:
        async with open_set_vault(ground, name) as vault:
            facts = await vault.facts()
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
    return [
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
