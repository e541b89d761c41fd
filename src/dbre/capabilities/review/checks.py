"""The checks that exist, and how they are run on clusters."""

import asyncio
from collections.abc import Iterable, Sequence

from dbre.capabilities.review.contact_rules import check_contact
from dbre.capabilities.review.looking import ClusterLook
from dbre.capabilities.review.server_rules import check_activity, check_replication, check_settings
from dbre.capabilities.review.standing_rules import check_lifecycle, check_login
from dbre.capabilities.review.topology_rules import check_topology
from dbre.core.checks import Check, CheckRegistry, Finding
from dbre.core.clock import Clock
from dbre.core.fleet import Cluster
from dbre.ports.contact import CONCURRENT_SERVERS
from dbre.ports.engine import EngineRegistry

__all__ = ["CHECKS", "DOCTOR", "examine"]

CHECKS = CheckRegistry(
    (
        Check(id="contact", title="instances and endpoints answer, and let dbre log in and look", run=check_contact),
        Check(id="topology", title="one primary that takes writes; members of one cluster and version", run=check_topology),
        Check(id="replication", title="replicas receive, and are not far behind", run=check_replication),
        Check(id="settings", title="parameters are alike, safe, and in effect", run=check_settings),
        Check(id="activity", title="sessions, transactions, locks and clocks are within limits", run=check_activity),
        Check(id="login", title="dbre's login may not do more than it needs", run=check_login),
        Check(id="lifecycle", title="the version is still mended", run=check_lifecycle),
    )
)
"""Every check; ``run`` takes a ``ClusterLook``. Adding one here makes it part of ``dbre fleet check``;
other capabilities hand theirs in."""

DOCTOR = ("contact", "topology")
"""The checks of ``dbre fleet doctor``: what keeps dbre from working with the fleet."""


async def examine(
    clusters: Iterable[Cluster], engines: EngineRegistry, clock: Clock, *, checks: Sequence[str] = DOCTOR, purpose: str
) -> list[Finding]:
    """Findings of some checks on clusters, side by side; reads only. ``purpose`` is what the sessions call themselves."""
    limit = asyncio.Semaphore(CONCURRENT_SERVERS)
    chosen = [CHECKS.get(name) for name in checks]

    async def one(cluster: Cluster) -> list[Finding]:
        look = ClusterLook(cluster, engines, clock, application_name=purpose, limit=limit)
        return [finding for check in chosen for finding in await check.run(look)]

    groups = await asyncio.gather(*(one(cluster) for cluster in clusters))
    return [finding for group in groups for finding in group]
