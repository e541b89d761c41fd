"""Everything that is looked at before a planned change of primary: topology, lag, both servers, the process, routes."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.lag import ReplicaLag
from dbre.capabilities.ha.looking import read_lag
from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.ports.route import RouteState
from dbre.ports.succession import Following, HostState, Obstacle, Standing

__all__ = ["NodeSurvey", "RouteSurvey", "Survey", "survey"]

_NODE_SECONDS = 15.0
_ROUTE_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSurvey:
    """One server, beside what the topology says of it. Errors stand where there is no answer."""

    standing: Standing | None = None
    error: DbreError | None = None
    has_manner: bool = False  # it can tell another one how to follow
    entry: Obstacle | None = None  # whether followers are let in; None: not known
    slot: str | None = None  # its own place in its upstream's log
    host: HostState | None = None
    host_error: DbreError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSurvey:
    """One route of the clients."""

    name: str
    kind: str
    can_pause: bool
    state: RouteState | None
    error: DbreError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All of it."""

    cluster: Cluster
    topology: Topology
    lags: Mapping[str, ReplicaLag]
    nodes: Mapping[str, NodeSurvey]
    routes: tuple[RouteSurvey, ...]
    kept: frozenset[str] = frozenset()  # settings that whoever manages the cluster sets, and differently on the primary

    @property
    def instances(self) -> Mapping[str, Instance]:
        """The instances of the cluster by name."""
        return {one.name: one for one in self.cluster.instances}


async def survey(
    ground: SwitchoverGround,
    cluster: Cluster,
    *,
    purpose: str,
    seen: tuple[Topology, Sequence[ReplicaLag]] | None = None,
) -> Survey:
    """Look at everything side by side; only looks. With ``seen`` the sweep was done already. Raises: SecretUnavailable."""
    topology, lags = seen if seen is not None else await read_lag(ground.engines, ground.fleet, cluster)
    answering = [one.instance for one in topology.nodes if one.view is not None and one.instance.cluster == cluster.name]
    found, routes = await asyncio.gather(
        asyncio.gather(*(_node(ground, cluster, one, purpose, tries_login=seen is None) for one in answering)),
        _routes(ground, cluster),
    )
    return Survey(
        cluster=cluster,
        topology=topology,
        lags={one.replica: one for one in lags},
        nodes={instance.name: one for instance, one in zip(answering, found, strict=True)},
        routes=tuple(routes),
    )


async def _node(
    ground: SwitchoverGround, cluster: Cluster, instance: Instance, purpose: str, *, tries_login: bool
) -> NodeSurvey:
    """A login as a follower is tried where somebody asks to know, and not each time that a page is drawn."""
    state, host_error = None, None
    try:
        state = await ground.host(cluster, instance).state()
    except DbreError as error:
        host_error = error
    try:
        async with asyncio.timeout(_NODE_SECONDS), ground.server(cluster, instance, purpose=purpose) as server:
            standing = await server.succession.standing()
            manner = await server.succession.manner()
            following = Following(
                upstream=instance.address,
                name=purpose,
                user=cluster.replication_user,
                password=cluster.replication_password,
                like=manner,
            )
            entry = await server.succession.lets_in(following) if tries_login else None
    except TimeoutError:
        late = DbreError(f"{instance.name} at {instance.address} did not answer within {_NODE_SECONDS:.0f} s")
        return NodeSurvey(error=late, host=state, host_error=host_error)
    except DbreError as error:
        return NodeSurvey(error=error, host=state, host_error=host_error)
    return NodeSurvey(
        standing=standing,
        has_manner=manner is not None,
        entry=entry,
        slot=manner.slot if manner is not None else None,
        host=state,
        host_error=host_error,
    )


async def _routes(ground: SwitchoverGround, cluster: Cluster) -> Sequence[RouteSurvey]:
    found = []
    for route in ground.routes(cluster):
        state, problem = None, None
        try:
            async with asyncio.timeout(_ROUTE_SECONDS):
                state = await route.current()
        except TimeoutError:
            problem = DbreError(f"route {route.name} did not answer within {_ROUTE_SECONDS:.0f} s")
        except DbreError as error:
            problem = error
        found.append(RouteSurvey(name=route.name, kind=route.kind, can_pause=route.can_pause, state=state, error=problem))
    return found
