"""Findings on the backups of clusters, read from the state store."""

from collections.abc import Sequence

from dbre.capabilities.backup.catalog.escrows import list_escrows
from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.policy.checks import Examined, examine_cluster, unprotected
from dbre.capabilities.backup.policy.forecasting import restore_seconds
from dbre.capabilities.backup.policy.vault_checks import examine_vaults
from dbre.core.checks import Finding, worst_first
from dbre.core.clock import Clock
from dbre.core.errors import UsageError
from dbre.core.fleet import Cluster

__all__ = ["examine_backups"]


async def examine_backups(ground: BackupGround, clusters: Sequence[Cluster], clock: Clock) -> list[Finding]:
    """What is not as policies want it, the worst first. Raises: UsageError without a state store."""
    if ground.store is None:
        raise UsageError("what is known of backups is kept in a state store, and none is open here", hint="dbre db status")
    found: list[Finding] = []
    used: set[str] = set()
    for cluster in clusters:
        policy = ground.policy_of(cluster.name)
        if policy is None:
            found.append(unprotected(cluster.name))
            continue
        catalog = await load_catalog(ground.store, cluster.name)
        seconds = await restore_seconds(ground, cluster.name, clock) if catalog.sets else None
        found += examine_cluster(
            Examined(
                cluster=cluster.name,
                policy=policy,
                catalog=catalog,
                vaults=ground.vaults,
                now=clock.now(),
                restore_seconds=seconds,
            )
        )
        used |= {name for one in catalog.sets if one.state is SetState.SEALED for name in one.vaults}
    async with ground.store.read() as connection:
        trials = await list_escrows(connection)
    found += examine_vaults(ground.vaults, trials, used=used, now=clock.now())
    return worst_first(found)
