"""Findings on the keeping of the log: that nobody does it, and what its keeper told and did not take back."""

import asyncio
from collections.abc import Sequence

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.status import log_status
from dbre.core.checks import Finding, Severity
from dbre.core.fleet import Cluster
from dbre.core.store import Store
from dbre.core.text import printable
from dbre.ports.contact import CONCURRENT_SERVERS

__all__ = ["examine_keeping"]


async def examine_keeping(ground: BackupGround, store: Store, clusters: Sequence[Cluster]) -> list[Finding]:
    """What ``backup log status`` would say of clusters whose policy keeps log, apart from gaps and silent servers."""
    limit = asyncio.Semaphore(CONCURRENT_SERVERS)

    async def one(cluster: Cluster) -> list[Finding]:
        async with limit:
            return await _examine(ground, store, cluster.name)

    found = await asyncio.gather(*map(one, clusters))
    return [finding for findings in found for finding in findings]


async def _examine(ground: BackupGround, store: Store, cluster: str) -> list[Finding]:
    policy = ground.policy_of(cluster)
    if policy is None or policy.log.mode == "none":
        return []
    status = await log_status(ground, store, cluster)
    found = [
        _finding(cluster, "backup.log_unkept", one, "dbre server keeps it: start it, or see its log") for one in status.unkept
    ]
    return found + [
        _finding(cluster, one.kind, f"{printable(one.message, limit=300)} (since {one.since:%Y-%m-%d %H:%M:%SZ})", one.hint)
        for one in status.harms
    ]


def _finding(cluster: str, rule: str, summary: str, fix: str | None) -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        subject=cluster,
        summary=summary,
        fix=printable(fix, limit=300) if fix else f"dbre backup log status {cluster}",
    )
