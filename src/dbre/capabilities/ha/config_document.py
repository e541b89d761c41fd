"""The section ``ha`` of ``dbre.yaml``: what chooses the primary of a cluster, beside the servers themselves."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from dbre.capabilities.ha.disaster.plan_document import DisasterPlan
from dbre.capabilities.ha.drills.config_document import DrillDocument
from dbre.capabilities.ha.failover.config_document import FailoverDocument
from dbre.capabilities.ha.patroni.config_document import PatroniDocument
from dbre.capabilities.ha.patroni.scopes import shared_scopes
from dbre.capabilities.ha.route.config_document import Clients, Routes
from dbre.capabilities.ha.sentinel.config_document import SentinelDocument
from dbre.capabilities.ha.switchover.config_document import SwitchoverDocument
from dbre.core.config import Document, Fault, Name, Section

__all__ = ["HA", "HaClusterDocument", "HaDocument"]


class HaClusterDocument(Document):
    """One cluster of the inventory."""

    cluster: Name = Field(description="of the inventory")
    patroni: PatroniDocument | None = Field(None, description="where Patroni chooses the primary")
    sentinel: SentinelDocument | None = Field(None, description="where Redis Sentinels choose the primary")
    routes: Routes = Field((), description="how clients reach the primary")
    clients: Clients = Field((), description="applications, judged by dbre ha clients")
    switchover: SwitchoverDocument | None = Field(None, description="limits of planned changes of primary")
    failover: FailoverDocument | None = Field(None, description="when a replica is promoted in place of a dead primary")
    drill: DrillDocument | None = Field(None, description="failovers on purpose")
    disaster: DisasterPlan | None = Field(None, description="what is done when a whole site is lost")


class HaDocument(Document):
    """How the primary of each cluster is chosen."""

    clusters: tuple[HaClusterDocument, ...] = Field((), description="each cluster once; one that is not named has no more")

    def of(self, cluster: str) -> HaClusterDocument:
        """What is said of a cluster; the defaults where nothing is."""
        return next((one for one in self.clusters if one.cluster == cluster), HaClusterDocument(cluster=cluster))


def _faults(document: Any) -> Iterator[Fault]:
    seen: set[str] = set()
    clusters = document.get("clusters") if isinstance(document, dict) else None
    for index, one in enumerate(clusters if isinstance(clusters, list) else ()):
        name = one.get("cluster") if isinstance(one, dict) else None
        if isinstance(name, str) and name in seen:
            yield Fault(path=("clusters", index, "cluster"), message=f"{name} is already in the list", hint="join the two")
        elif isinstance(name, str):
            seen.add(name)
    yield from shared_scopes(clusters)


HA = Section("ha", HaDocument, HaDocument, "High availability: who chooses the primary of a cluster.", faults=_faults)
