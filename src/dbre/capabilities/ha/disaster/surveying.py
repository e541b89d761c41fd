"""Everything that a plan for the loss of a site depends on, looked at now; changes nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dbre.capabilities.ha.disaster.exposure import Exposure, exposure_of
from dbre.capabilities.ha.disaster.ground import DisasterGround
from dbre.capabilities.ha.disaster.measures import Action
from dbre.capabilities.ha.disaster.plan_document import DisasterPlan, SiteDocument
from dbre.capabilities.ha.disaster.repository import StoredRun, newest
from dbre.capabilities.ha.disaster.witness import witnesses
from dbre.capabilities.ha.failover.fences import Ladder, ladder_of
from dbre.capabilities.ha.looking import read_lag
from dbre.capabilities.ha.model import Topology
from dbre.core.errors import DbreError, PrecheckFailed
from dbre.core.fleet import Cluster, Instance
from dbre.core.text import printable
from dbre.ports.route import Route, RouteCheck

__all__ = ["LOOKING", "DisasterSurvey", "best_of", "instance_in", "look", "primary_of", "require_candidate"]

LOOKING = "check"
"""The name of a fence that is only tried without acting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisasterSurvey:
    """What was seen. ``here`` is the site of the primary, ``there`` the one that is to take over."""

    cluster: Cluster
    plan: DisasterPlan
    topology: Topology
    primary: str | None  # None: no instance or several take writes
    here: SiteDocument | None
    there: SiteDocument
    exposures: Mapping[str, Exposure]  # of each replica that answers
    candidate: str | None
    ladders: Mapping[str, Ladder]  # of each instance of the site of the primary
    route_checks: Mapping[str, Sequence[RouteCheck]]
    route_problems: Mapping[str, str]
    rehearsal_records: tuple[str, ...]
    runs: Mapping[Action, StoredRun] = field(default_factory=dict)
    is_automatic: bool = False
    manager: str | None = None
    has_identities: bool = False

    @property
    def exposure(self) -> Exposure | None:
        """What promoting the candidate now would lose."""
        return self.exposures.get(self.candidate) if self.candidate is not None else None

    @property
    def witnesses(self) -> tuple[str, ...]:
        """Observers at a third site: neither where the primary is nor where the candidate is."""
        return witnesses(self.plan, self.here.name if self.here is not None else None, self.there.name)


async def look(ground: DisasterGround, cluster: Cluster, plan: DisasterPlan, *, to: str | None) -> DisasterSurvey:
    """Sweep, try the fences without acting, ask the routes. ``to``: the site; default: the first other one.

    Raises: NoSuchSite, SecretUnavailable.
    """
    wanted = ground.site(plan, to) if to is not None else None
    topology, lags = await read_lag(ground.engines, ground.fleet, cluster)
    primary = primary_of(topology, cluster)
    here = plan.site_of(primary.name) if primary is not None else None
    there = wanted or next(one for one in plan.sites if one.instances and one is not (here or plan.home))
    exposures = exposure_of(topology, lags)
    candidate = best_of(there, exposures, never=ground.failovers.failover_of(cluster.name).never)
    ladders, (checks, problems), runs = await asyncio.gather(
        _ladders(ground, cluster, here), _routes(ground, cluster, candidate), _runs(ground, cluster)
    )
    return DisasterSurvey(
        cluster=cluster,
        plan=plan,
        topology=topology,
        primary=primary.name if primary is not None else None,
        here=here,
        there=there,
        exposures=exposures,
        candidate=candidate,
        ladders=ladders,
        route_checks=checks,
        route_problems=problems,
        rehearsal_records=tuple(one.name for one in plan.rehearse.routes),
        runs=runs,
        is_automatic=ground.failovers.failover_of(cluster.name).auto,
        manager=ground.failovers.manager_of(cluster.name),
        has_identities=ground.has_identities,
    )


def primary_of(topology: Topology, cluster: Cluster) -> Instance | None:
    """The one instance of the cluster that takes writes; None where there is none, or several."""
    found = [one.instance for one in topology.primaries if one.instance.cluster == cluster.name]
    return found[0] if len(found) == 1 else None


def best_of(site: SiteDocument, exposures: Mapping[str, Exposure], *, never: Sequence[str]) -> str | None:
    """Of a site the replica that lacks least, then the one that the plan names first; None where none answers."""
    found = [one for one in site.instances if one in exposures and one not in never]
    return min(found, key=lambda one: (exposures[one].weight, site.instances.index(one)), default=None)


def instance_in(cluster: Cluster, name: str) -> Instance:
    """The instance of that name; the plan was compared with the inventory before."""
    return next(one for one in cluster.instances if one.name == name)


async def _ladders(ground: DisasterGround, cluster: Cluster, here: SiteDocument | None) -> Mapping[str, Ladder]:
    found: dict[str, Ladder] = {}
    for name in here.instances if here is not None else ():
        found[name] = await ladder_of(ground.failovers, cluster, instance_in(cluster, name), fence_id=LOOKING)
    return found


async def _routes(
    ground: DisasterGround, cluster: Cluster, candidate: str | None
) -> tuple[Mapping[str, Sequence[RouteCheck]], Mapping[str, str]]:
    """Whether each could be led to the candidate."""
    found: dict[str, Sequence[RouteCheck]] = {}
    problems: dict[str, str] = {}

    async def ask(route: Route) -> None:
        assert candidate is not None  # noqa: S101 - asked for no candidate otherwise
        try:
            found[route.name] = await route.check(instance_in(cluster, candidate).address)
        except DbreError as error:
            problems[route.name] = printable(error.message, limit=300)

    if candidate is not None:
        await asyncio.gather(*(ask(one) for one in ground.failovers.routes(cluster)))
    return found, problems


async def _runs(ground: DisasterGround, cluster: Cluster) -> Mapping[Action, StoredRun]:
    if ground.store is None:
        return {}
    async with ground.store.read() as connection:
        return await newest(connection, cluster.name)


def require_candidate(found: DisasterSurvey) -> tuple[Instance, Instance]:
    """The primary, and who is to take over. Raises: PrecheckFailed."""
    name = found.cluster.name
    if found.primary is None:
        raise PrecheckFailed(
            f"no instance of {name}, or more than one, takes writes",
            hint=f"dbre ha status {name}; a lost site: dbre ha dr failover",
        )
    if found.candidate is None:
        raise PrecheckFailed(f"no replica answers at {found.there.name}", hint=f"dbre ha status {name}")
    return instance_in(found.cluster, found.primary), instance_in(found.cluster, found.candidate)
