"""Everything that is looked at before an instance rejoins its cluster."""

from dataclasses import dataclass, replace

from dbre.capabilities.ha.errant import errant_of, is_comparable
from dbre.capabilities.ha.looking import read_lag, seeds_of
from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.rejoin.ground import RejoinGround
from dbre.capabilities.ha.rejoin.online import Online, online_between
from dbre.capabilities.ha.rejoin.sampling import with_sample
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Cluster, Instance
from dbre.core.text import printable
from dbre.ports.rejoin import Kinship, Relation
from dbre.ports.session import Role
from dbre.ports.succession import GivesUp, HostState, Manner, Standing

__all__ = ["Rejoining", "is_following", "primary_for", "survey"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejoining:
    """One instance, the primary that it is to follow, and what its files are to that one's."""

    cluster: Cluster
    instance: Instance
    primary: Instance
    topology: Topology
    host: HostState
    kinship: Kinship
    manner: Manner | None  # how the primary followed when it last did: the pattern
    is_writable: bool  # it takes writes now: a second primary
    online: Online | None = None  # it follows while it runs; then nothing is known of its files
    source: Instance | None = None  # who is copied from, where that is another than the primary
    logs: Online | None = None  # what the logs of both say, where its files are replaced all the same
    is_prepared: bool = True  # the primary has to be made ready to be read from
    can_read_lost: bool = True  # what only it committed can be read from its files


async def survey(ground: RejoinGround, cluster: Cluster, name: str, *, is_clone_wanted: bool) -> Rejoining:
    """Look; changes nothing. Raises: PrecheckFailed where it must not be done; NoControl, Unsupported, Unreachable, Denied."""
    (instance,) = seeds_of(cluster, name)
    _refuse_managed(ground, cluster, name)
    topology, _ = await read_lag(ground.servers.engines, ground.servers.fleet, cluster)
    primary = primary_for(topology, cluster, instance)
    node = topology.node(name)
    if node is not None and is_following(topology, name, primary) and not is_clone_wanted:
        raise PrecheckFailed(f"{name} follows {primary.name} already, on its timeline", hint=f"dbre ha lag {cluster.name}")
    async with ground.servers.server(cluster, primary, purpose="dbre:rejoin") as server:
        standing = await server.succession.standing()
        if standing.gives_up is GivesUp.BY_CLOSING:
            if is_clone_wanted and not standing.forgets_own:
                return await _replaced(ground, cluster, instance, primary, topology, standing)
            return await _sampled(ground, _running(cluster, instance, primary, topology, standing))
        manner = await server.succession.manner()
    host = await ground.servers.host(cluster, instance).state()
    kinship = await ground.files(cluster, instance).look(ground.access(cluster, primary))
    return Rejoining(
        cluster=cluster,
        instance=instance,
        primary=primary,
        topology=topology,
        host=host,
        kinship=kinship,
        manner=manner,
        is_writable=node is not None and node.view is not None and node.is_primary and node.view.is_writable,
    )


async def _sampled(ground: RejoinGround, seen: Rejoining) -> Rejoining:
    if seen.online is None:
        return seen
    found = await with_sample(ground, seen.cluster, seen.instance, seen.primary, seen.online, purpose="dbre:rejoin")
    return replace(seen, online=found)


def _running(cluster: Cluster, instance: Instance, primary: Instance, topology: Topology, standing: Standing) -> Rejoining:
    """Raises: PrecheckFailed where it does not answer."""
    mine, theirs = topology.node(instance.name), topology.node(primary.name)
    if mine is None or mine.view is None or theirs is None or theirs.view is None:
        raise PrecheckFailed(
            f"{instance.name} does not answer, and follows only while it runs",
            hint="start it such that it takes no writes before it is asked: read-only, or where no client reaches it"
            + ("" if standing.forgets_own else "; or copy it anew: --clone"),
        )
    online = online_between(mine.view, theirs.view, standing, is_primary=mine.is_primary)
    relation = Relation.DIVERGED if online.errants else Relation.SAME
    return Rejoining(
        cluster=cluster,
        instance=instance,
        primary=primary,
        topology=topology,
        host=HostState(is_seen=False, processes=(), is_answering=True),
        kinship=Kinship(
            relation=relation,
            timeline=None,
            upstream_timeline=theirs.view.timeline or 0,
            fork=None,
            own_slot=None,
            why_no_rewind=None,
            why_no_clone=None,
        ),
        manner=None,
        is_writable=mine.is_primary and mine.view.is_writable,
        online=online,
    )


async def _replaced(
    ground: RejoinGround, cluster: Cluster, instance: Instance, primary: Instance, topology: Topology, standing: Standing
) -> Rejoining:
    """Its files are to be replaced, whatever its log says; that is told where it runs."""
    mine, theirs = topology.node(instance.name), topology.node(primary.name)
    logs: Online | None = None
    if mine is not None and mine.view is not None and theirs is not None and theirs.view is not None:
        logs = online_between(mine.view, theirs.view, standing, is_primary=mine.is_primary)
    host = await ground.servers.host(cluster, instance).state()
    kinship, source = await _nearest(ground, cluster, instance, primary, topology)
    if logs is not None and logs.is_comparable and kinship.relation is Relation.UNKNOWN:
        kinship = replace(kinship, relation=Relation.DIVERGED if logs.errants else Relation.SAME)
    return Rejoining(
        cluster=cluster,
        instance=instance,
        primary=primary,
        topology=topology,
        host=host,
        kinship=kinship,
        manner=None,
        is_writable=mine is not None and mine.view is not None and mine.is_primary and mine.view.is_writable,
        source=source,
        logs=logs,
        is_prepared=False,
        can_read_lost=False,
    )


async def _nearest(
    ground: RejoinGround, cluster: Cluster, instance: Instance, primary: Instance, topology: Topology
) -> tuple[Kinship, Instance | None]:
    """The primary, where it can be copied from here, else the first replica that can and that has nothing of its own."""
    files = ground.files(cluster, instance)
    first = await files.look(ground.access(cluster, primary))
    if first.why_no_clone is None:
        return first, None
    head = topology.node(primary.name)
    for one in cluster.instances:
        node = topology.node(one.name)
        if one.name in (instance.name, primary.name) or not is_following(topology, one.name, primary):
            continue
        if node is None or node.view is None or head is None or head.view is None:
            continue
        if is_comparable(node.view, head.view) and not errant_of(node.view, head.view):
            found = await files.look(ground.access(cluster, one))
            if found.why_no_clone is None:
                return found, one
    return first, None


def primary_for(topology: Topology, cluster: Cluster, instance: Instance) -> Instance:
    """The one other server that takes writes. Raises: PrecheckFailed."""
    others = [one for one in topology.primaries if one.instance.cluster == cluster.name and one.name != instance.name]
    if not others and topology.node(instance.name) in topology.primaries:
        raise PrecheckFailed(
            f"{instance.name} is the primary of {cluster.name} itself, and nobody else takes writes: it has nobody to follow",
            hint=f"who is to follow is one that is not the primary: dbre ha status {cluster.name}",
        )
    if len(others) != 1:
        words = ", ".join(one.name for one in others) or "none"
        raise PrecheckFailed(
            f"{instance.name} can follow exactly one other primary, and of {cluster.name} take writes: {words}",
            hint=f"dbre ha status {cluster.name}; a dead primary is replaced by dbre ha failover {cluster.name}",
        )
    (found,), mine = others, topology.node(instance.name)
    lines = [one.view.timeline if one is not None and one.view is not None else None for one in (mine, found)]
    if mine is not None and mine in topology.primaries and None not in lines and (lines[0] or 0) >= (lines[1] or 0):
        raise PrecheckFailed(
            f"{instance.name} and {found.name} both take writes, and {instance.name} is on the newer timeline, {lines[0]}",
            hint=f"it is the other one that must follow: dbre ha rejoin {cluster.name} {found.name}",
        )
    return found.instance


def is_following(topology: Topology, name: str, primary: Instance) -> bool:
    """Whether it receives from somebody, on the timeline of the primary."""
    node, head = topology.node(name), topology.node(primary.name)
    if node is None or head is None or node.view is None or head.view is None or node.view.role is not Role.REPLICA:
        return False
    return node.view.timeline == head.view.timeline and any(one.told.is_receiving for one in topology.edges_of(name))


def _refuse_managed(ground: RejoinGround, cluster: Cluster, name: str) -> None:
    settings = ground.servers.settings.of(cluster.name)
    if settings.patroni is not None:
        raise PrecheckFailed(
            f"Patroni runs {printable(cluster.name)}: it brings {name} back itself, or is told to",
            hint=f"patronictl reinit copies {name} anew; see why it does not follow: dbre ha status {cluster.name}",
        )
