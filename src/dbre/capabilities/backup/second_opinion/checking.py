"""What is looked at in a server out of another tool's repository: what the policy of its cluster says, else all there is."""

from collections.abc import Sequence
from dataclasses import replace

from dbre.capabilities.backup.catalog.canaries import list_witnesses
from dbre.capabilities.backup.documents import CanaryDocument, DrillDocument
from dbre.capabilities.backup.drilling.canary_chain import ChainBounds
from dbre.capabilities.backup.drilling.canary_check import CanaryCheck
from dbre.capabilities.backup.drilling.checks import ExtensionsCheck, damage_checks
from dbre.capabilities.backup.drilling.query_check import QueryCheck
from dbre.capabilities.backup.drilling.running import ran_check
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import WitnessedCanary
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.ports.backup.engine import RecoveredServer
from dbre.ports.restored_checks import CheckedServer, RestoredCheck, RestoredResult

__all__ = ["check_restored"]


async def check_restored(
    ground: BackupGround, cluster: str, plan: RestorePlan, server: RecoveredServer
) -> list[RestoredResult]:
    """Levels L4 and L5 as far as they can be looked at: without a cluster there is nothing to compare with."""
    access = replace(server.access, application_name="dbre:drill")
    known = next((one for one in ground.fleet.clusters if one.name == cluster), None)
    checked = CheckedServer(
        server=ground.engines.get(plan.engine).connect(access),
        access=access,
        cluster=cluster,
        engine=plan.engine,
        databases=known.databases if known is not None else (),
    )
    found: list[RestoredResult] = []
    try:
        for one in await _checks(ground, cluster, plan, checked.databases):
            found += await ran_check(one, checked)
    finally:
        await checked.server.aclose()
    return found


async def _checks(ground: BackupGround, cluster: str, plan: RestorePlan, databases: Sequence[str]) -> list[RestoredCheck]:
    policy = ground.policy_of(cluster) if any(one.name == cluster for one in ground.fleet.clusters) else None
    document = policy.drill if policy is not None else DrillDocument()
    engine = ground.engines.get(plan.engine)
    found: list[RestoredCheck] = [ExtensionsCheck(engine=engine)] if "extensions" in document.checks else []
    found += damage_checks(engine, document.checks)
    canary = policy.canary if policy is not None else CanaryDocument()
    witnesses = await _witnesses(ground, cluster)
    if "canary" in document.checks and canary.enabled and witnesses:
        bounds = ChainBounds(until=None, held=plan.end, limit=None)
        database = canary.database or (databases[0] if databases else None)
        found.append(CanaryCheck(engine=engine, witnesses=witnesses, bounds=bounds, database=database, is_enabled=True))
    if "queries" in document.checks and document.queries:
        found.append(QueryCheck(engine=engine, queries=document.queries))
    return [*found, *ground.checks]


async def _witnesses(ground: BackupGround, cluster: str) -> list[WitnessedCanary]:
    if ground.store is None:
        return []
    async with ground.store.read() as connection:
        return list(await list_witnesses(connection, cluster))
