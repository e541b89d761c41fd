"""The check ``disaster`` of ``dbre fleet check``: whether plans for the loss of a site were rehearsed of late."""

from collections.abc import Sequence
from typing import Protocol

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.disaster.findings import plan_findings
from dbre.capabilities.ha.disaster.measures import Action
from dbre.capabilities.ha.disaster.repository import newest
from dbre.core.checks import Check, Finding
from dbre.core.clock import Clock
from dbre.core.errors import Unsupported
from dbre.core.fleet import Cluster
from dbre.core.store import Store

__all__ = ["disaster_check"]


class _Look(Protocol):
    @property
    def cluster(self) -> Cluster:
        """What is looked at."""
        ...


def disaster_check(store: Store | None, settings: HaDocument, clock: Clock) -> Check:
    """Of clusters that have a plan."""

    async def run(look: _Look) -> Sequence[Finding]:
        plan = settings.of(look.cluster.name).disaster
        if plan is None:
            return []
        if store is None:
            raise Unsupported("rehearsals are kept in the state store, and none is open")
        async with store.read() as connection:
            last = (await newest(connection, look.cluster.name)).get(Action.REHEARSE)
        return list(plan_findings(look.cluster.name, plan, last, now=clock.now()))

    return Check(id="disaster", title="the plan for the loss of a site was rehearsed of late, and would hold", run=run)
