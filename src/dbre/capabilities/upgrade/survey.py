"""Everything that is looked at before servers are restarted: each server, its process, the program it would start."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.capabilities.upgrade.installed import installed_version
from dbre.capabilities.upgrade.snapshot import Snapshot, contents_of
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.ports.session import Role, ServerIdentity
from dbre.ports.settings import Setting
from dbre.ports.succession import HostState, Obstacle, Standing
from dbre.ports.topology import NodeView

__all__ = ["NodeLook", "Survey", "survey"]

_SERVER_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLook:
    """One instance. Errors stand where there is no answer."""

    name: str
    identity: ServerIdentity | None = None
    view: NodeView | None = None
    standing: Standing | None = None
    pending: tuple[Setting, ...] = ()  # settings that wait for a restart
    host: HostState | None = None
    installed: tuple[int, ...] | None = None
    contents: Snapshot | None = None  # its extensions and collations; None: they cannot be seen
    error: DbreError | None = None
    host_error: DbreError | None = None

    @property
    def is_primary(self) -> bool:
        """Whether it takes writes by its own word, and follows nobody."""
        return self.view is not None and self.view.role is Role.PRIMARY

    @property
    def version(self) -> tuple[int, ...] | None:
        """What runs."""
        return self.standing.version if self.standing is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All instances of a cluster, in the order of the inventory."""

    cluster: Cluster
    nodes: Mapping[str, NodeLook]
    steward: str | None = None  # who starts and stops them beside dbre
    promoter: str | None = None  # who takes a stopped primary for a dead one
    obstacles: tuple[Obstacle, ...] = ()  # by the steward's word

    @property
    def primaries(self) -> list[str]:
        """Who takes writes."""
        return [one.name for one in self.nodes.values() if one.is_primary]

    @property
    def primary(self) -> NodeLook | None:
        """The only one that does; None where there is none, or more."""
        found = self.primaries
        return self.nodes[found[0]] if len(found) == 1 else None

    @property
    def replicas(self) -> list[str]:
        """All others."""
        return [name for name in self.nodes if name not in self.primaries]


async def survey(ground: UpgradeGround, cluster: Cluster, *, purpose: str) -> Survey:
    """Look at everything side by side; only looks. Raises: SecretUnavailable."""
    steward = ground.steward_of(cluster)
    found = await asyncio.gather(*(_node(ground, cluster, one, purpose) for one in cluster.instances))
    return Survey(
        cluster=cluster,
        nodes={one.name: one for one in found},
        steward=steward.name if steward is not None else None,
        promoter=ground.promoter_of(cluster),
        obstacles=tuple(await steward.check(cluster)) if steward is not None else (),
    )


async def _node(ground: UpgradeGround, cluster: Cluster, instance: Instance, purpose: str) -> NodeLook:
    state, installed, host_error = None, None, None
    try:
        if instance.control is not None or ground.steward_of(cluster) is None:
            state = await ground.host(cluster, instance).state()
        installed = await installed_version(ground, cluster, instance)
    except DbreError as error:
        host_error = error
    try:
        async with asyncio.timeout(_SERVER_SECONDS), ground.server(cluster, instance, purpose=purpose) as server:
            identity, view = await server.session.identify(), await server.topology.view()
            standing = await server.succession.standing()
            pending = tuple(one for one in await server.settings.list() if one.is_pending_restart)
    except TimeoutError:
        late = DbreError(f"{instance.name} at {instance.address} did not answer within {_SERVER_SECONDS:.0f} s")
        return NodeLook(name=instance.name, host=state, installed=installed, error=late, host_error=host_error)
    except DbreError as error:
        return NodeLook(name=instance.name, host=state, installed=installed, error=error, host_error=host_error)
    return NodeLook(
        name=instance.name,
        identity=identity,
        view=view,
        standing=standing,
        pending=pending,
        host=state,
        installed=installed,
        contents=await _contents(ground, cluster, instance, purpose),
        host_error=host_error,
    )


async def _contents(ground: UpgradeGround, cluster: Cluster, instance: Instance, purpose: str) -> Snapshot | None:
    try:
        return await contents_of(ground, cluster, instance, purpose=purpose)
    except DbreError:
        return None  # its login may not look: nothing is said of them
