"""What plans for the loss of a site stand on, made of a configuration, and whose consent they want."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from dbre.capabilities.ha.config_document import HA, HaDocument
from dbre.capabilities.ha.disaster.ground import DisasterGround
from dbre.capabilities.ha.failover.building import failover_ground
from dbre.capabilities.ha.route.building import routes_of
from dbre.capabilities.ha.switchover.building import switchover_ground
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.fleet import Cluster, Fleet
from dbre.core.gates.approval import ApprovalPolicy
from dbre.core.gates.scope import Scope
from dbre.core.identity.document import ACCESS, access_from
from dbre.core.selector import Selector
from dbre.core.store import Store
from dbre.core.store.errors import StoreMissing
from dbre.ports.engine import EngineRegistry
from dbre.ports.route import Route
from dbre.ports.runtime import Runtime

__all__ = ["disaster_approvals", "disaster_ground", "ground_of_command", "rehearsal_routes_of"]

_KINDS = ("ha.dr_switch", "ha.dr_failover", "ha.dr_failback")


def disaster_ground(config: Config, fleet: Fleet, engines: EngineRegistry, clock: Clock, store: Store | None) -> DisasterGround:
    """Without ``store`` nothing is known of earlier rehearsals."""
    settings = config.get(HA)
    return DisasterGround(
        failovers=failover_ground(config, fleet, engines, clock, store),
        switchovers=switchover_ground(config, fleet, engines, clock, store),
        rehearsal_routes=lambda cluster: rehearsal_routes_of(settings, cluster),
        has_identities=not access_from(config.get(ACCESS)).is_embedded,
    )


def rehearsal_routes_of(settings: HaDocument, cluster: Cluster) -> Sequence[Route]:
    """The records that only rehearsals turn. Raises: UsageError, Unsupported."""
    said = settings.of(cluster.name)
    routes = said.disaster.rehearse.routes if said.disaster is not None else ()
    return routes_of(HaDocument(clusters=(said.model_copy(update={"routes": routes}),)), cluster)


def disaster_approvals(config: Config, fleet: Fleet) -> tuple[ApprovalPolicy, ...]:
    """Who consents to what is done with a plan. Where one person cannot be told from another, only what a plan asks for."""
    has_identities = not access_from(config.get(ACCESS)).is_embedded
    found = []
    for said in config.get(HA).clusters:
        cluster = next((one for one in fleet.clusters if one.name == said.cluster), None)
        if said.disaster is None or cluster is None or (said.disaster.people is None and not has_identities):
            continue
        others = said.disaster.people_for(cluster.environment) - 1
        if others > 0:
            scope = Scope(kinds=_KINDS, selector=Selector.of({"cluster": cluster.name}), exempt=())
            found.append(ApprovalPolicy(name=f"disaster-{cluster.name}", scope=scope, count=others))
    return tuple(found)


@asynccontextmanager
async def ground_of_command(parts: Runtime) -> AsyncIterator[DisasterGround]:
    """What a command that only looks stands on. Raises: what opening the state store raises, but for one that is not there."""
    async with AsyncExitStack() as stack:
        store: Store | None = None
        try:
            store = await stack.enter_async_context(parts.open_store())
        except StoreMissing:
            store = None  # nothing was ever done by dbre
        yield disaster_ground(parts.config, parts.fleet, parts.engines, parts.clock, store)
