"""Everything that is looked at before an instance becomes primary again."""

from dataclasses import dataclass

from dbre.capabilities.ha.failback.document import FailbackInput
from dbre.capabilities.ha.failback.ground import FailbackGround
from dbre.capabilities.ha.looking import read_lag, seeds_of
from dbre.capabilities.ha.model import Topology
from dbre.capabilities.ha.rejoin.document import RejoinInput
from dbre.capabilities.ha.rejoin.surveying import Rejoining, is_following
from dbre.capabilities.ha.rejoin.surveying import survey as survey_rejoining
from dbre.capabilities.ha.switchover.assessment import Assessment, assess
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Cluster, Instance

__all__ = ["Returning", "rejoin_input", "survey"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Returning:
    """Who is to be primary again, who is it now, and what stands between."""

    cluster: Cluster
    primary: Instance
    to: Instance
    why: str  # it is that one
    rejoining: Rejoining | None  # None: it follows already
    assessment: Assessment | None  # of the planned change; None: it can be made only when it follows


async def survey(ground: FailbackGround, cluster: Cluster, asked: FailbackInput, *, purpose: str) -> Returning:
    """Look; changes nothing. Raises: PrecheckFailed where it must not be done; NoControl, Unsupported, Unreachable, Denied."""
    servers = ground.rejoins.servers
    topology, _ = await read_lag(servers.engines, servers.fleet, cluster)
    primary = _primary(topology, cluster, asked.to)
    to, why = await _chosen(ground, topology, cluster, primary, asked.to)
    if to.name in servers.limits(cluster.name).never:
        raise PrecheckFailed(
            f"{to.name} is never to be primary", hint=f"ha: clusters: switchover: never of {cluster.name}; or --to INSTANCE"
        )
    if is_following(topology, to.name, primary) and not asked.clone:
        seen = await assess(servers, cluster, to=to.name, purpose=purpose)
        return Returning(cluster=cluster, primary=primary, to=to, why=why, rejoining=None, assessment=seen)
    found = await survey_rejoining(ground.rejoins, cluster, to.name, is_clone_wanted=asked.clone)
    return Returning(cluster=cluster, primary=found.primary, to=to, why=why, rejoining=found, assessment=None)


def rejoin_input(cluster: str, to: str, asked: FailbackInput) -> RejoinInput:
    """What its first part is asked."""
    return RejoinInput(cluster=cluster, instance=to, **asked.how())


def _primary(topology: Topology, cluster: Cluster, wanted: str | None) -> Instance:
    """Who takes writes, besides the one that comes back. Raises: PrecheckFailed."""
    found = [one for one in topology.primaries if one.instance.cluster == cluster.name and one.name != wanted]
    if len(found) == 1:
        return found[0].instance
    if not found and any(one.name == wanted for one in topology.primaries):
        raise PrecheckFailed(f"{wanted} is the primary of {cluster.name} already", hint=f"dbre ha status {cluster.name}")
    words = ", ".join(one.name for one in found) or "nobody"
    raise PrecheckFailed(
        f"exactly one instance must be the primary of {cluster.name}, and writes are taken by: {words}",
        hint=_give_way(cluster, [one.name for one in found]) if found else f"dbre ha failover {cluster.name}, where it is dead",
    )


def _give_way(cluster: Cluster, names: list[str]) -> str:
    commands = " or ".join(f"dbre ha rejoin {cluster.name} {name}" for name in names)
    return f"one of them must give way: {commands}; or, where it is to be primary again, name it: --to INSTANCE"


async def _chosen(
    ground: FailbackGround, topology: Topology, cluster: Cluster, primary: Instance, wanted: str | None
) -> tuple[Instance, str]:
    """Named, else by the journal, else the only one that does not follow, else the preferred. Raises: PrecheckFailed."""
    if wanted is not None:
        (named,) = seeds_of(cluster, wanted)
        return named, "it was named"
    others = {one.name: one for one in cluster.instances if one.name != primary.name}
    before = await ground.before(cluster.name, primary.name)
    if before in others:
        return others[before], f"{primary.name} took over from it last"
    lost = [one for one in others.values() if not is_following(topology, one.name, primary)]
    if len(lost) == 1:
        return lost[0], f"it alone does not follow {primary.name}"
    preferred = [name for name in ground.rejoins.servers.limits(cluster.name).prefer if name in others]
    if preferred:
        return others[preferred[0]], "switchover: prefer names it"
    raise PrecheckFailed(
        f"nobody knows who was the primary of {cluster.name} before {primary.name}",
        hint=f"name it: dbre ha failback {cluster.name} --to INSTANCE; there are {', '.join(others) or 'no others'}",
    )
