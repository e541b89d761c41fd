"""What plans for the loss of a site stand on; the composition root builds it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.disaster.plan_document import DisasterPlan, SiteDocument
from dbre.capabilities.ha.failover.ground import FailoverGround
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.core.clock import Clock
from dbre.core.errors import UsageError
from dbre.core.fleet import Cluster, Fleet
from dbre.core.store import Store
from dbre.core.text import closest, printable, quoted
from dbre.ports.engine import EngineRegistry
from dbre.ports.route import Route

__all__ = ["DisasterGround", "NoPlan", "NoSuchSite", "check_names"]


class NoPlan(UsageError):
    """The configuration has no plan for the loss of a site of the cluster."""

    code = "ha.no_disaster_plan"


class NoSuchSite(UsageError):
    """The plan has no site of that name, or none of that kind."""

    code = "ha.no_such_site"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisasterGround:
    """Servers are reached, promoted and moved as by failovers and planned changes of primary."""

    failovers: FailoverGround
    switchovers: SwitchoverGround
    rehearsal_routes: Callable[[Cluster], Sequence[Route]]
    has_identities: bool  # whether one person can be told from another

    @property
    def settings(self) -> HaDocument:
        """The section ``ha``."""
        return self.failovers.settings

    @property
    def fleet(self) -> Fleet:
        """The inventory."""
        return self.failovers.fleet

    @property
    def engines(self) -> EngineRegistry:
        """What there is."""
        return self.failovers.engines

    @property
    def clock(self) -> Clock:
        """The clock."""
        return self.failovers.clock

    @property
    def store(self) -> Store | None:
        """None: nothing is kept, and nothing is known of earlier."""
        return self.failovers.store

    def plan_of(self, cluster: Cluster) -> DisasterPlan:
        """The plan of a cluster. Raises: NoPlan; UsageError where it names what the inventory has not."""
        found = self.settings.of(cluster.name).disaster
        if found is None:
            raise NoPlan(
                f"the configuration has no plan for the loss of a site of {cluster.name}",
                hint=f"write one: ha: clusters: - cluster: {cluster.name} disaster: sites:, objectives:",
            )
        check_names(found, cluster, self.failovers.failover_of(cluster.name).observers)
        return found

    def site(self, plan: DisasterPlan, name: str) -> SiteDocument:
        """A site with instances. Raises: NoSuchSite."""
        found, names = plan.site(name), [one.name for one in plan.sites if one.instances]
        if found is None or not found.instances:
            near = closest(name, names)
            what = "no site" if found is None else "no site with instances"
            raise NoSuchSite(
                f"the plan has {what} {quoted(name, limit=100)}",
                hint=f"did you mean {near}?" if near and near != name else f"it has {', '.join(names)}",
            )
        return found


def check_names(plan: DisasterPlan, cluster: Cluster, observers: Sequence[str]) -> None:
    """See that the plan and the inventory name the same. Raises: UsageError."""
    known = [one.name for one in cluster.instances]
    for site in plan.sites:
        for name in site.instances:
            if name not in known:
                near = closest(name, known)
                raise UsageError(
                    f"site {site.name} names {printable(name, limit=100)}, which is no instance of {cluster.name}",
                    hint=f"did you mean {near}?" if near else f"it has {', '.join(known)}",
                )
        for name in site.observers:
            if name not in observers:
                raise UsageError(
                    f"site {site.name} names the observer {printable(name, limit=100)}, which is none of {cluster.name}",
                    hint="list it under failover: observers: of the cluster",
                )
    placed = {name for site in plan.sites for name in site.instances}
    missing = [name for name in known if name not in placed]
    if missing:
        raise UsageError(
            f"the plan does not say where {', '.join(missing)} is", hint="name each instance of the cluster under one of sites"
        )
