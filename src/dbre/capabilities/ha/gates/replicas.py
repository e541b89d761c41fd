"""What one sweep says of the replicas of a cluster: pure rules."""

from collections.abc import Iterator

from dbre.capabilities.ha.gates.policies import LagPolicy
from dbre.capabilities.ha.lag import ReplicaLag
from dbre.capabilities.ha.looking import Status
from dbre.core.units import format_bytes, format_duration

__all__ = ["healthy_replicas", "lagging_replicas"]


def healthy_replicas(status: Status) -> list[str]:
    """Replicas of the cluster that could take over: they answer, and receive the history of its primary.

    How far one is behind is not asked: it has what it received, and applies it.
    """
    topology, primary = status.topology, status.topology.primary
    if primary is None or primary.view is None:
        return []
    return [
        one.name
        for one in topology.nodes
        if one.view is not None
        and not one.is_primary
        and one.instance.cluster == topology.cluster
        and topology.root_of(one.name) == primary.name
        and any(edge.told.is_receiving for edge in topology.edges_of(one.name))
        and primary.view.timeline in (None, one.view.timeline)
    ]


def lagging_replicas(status: Status, policy: LagPolicy) -> dict[str, str]:
    """Replicas that are further behind than the policy allows, or may be because nobody knows; why, by name."""
    lags = {one.replica: one for one in status.lags}
    found: dict[str, str] = {}
    for node in status.topology.nodes:
        if node.instance.cluster != status.topology.cluster or node.is_primary:
            continue
        delay = node.view.min_apply_delay_seconds if node.view is not None else None
        why = next(_reasons(lags.get(node.name), policy), None) if not delay else None  # late on purpose
        if why is not None:
            found[node.name] = why
    return found


def _reasons(lag: ReplicaLag | None, policy: LagPolicy) -> Iterator[str]:
    if lag is None:
        yield "does not answer, or follows nobody"
        return
    if policy.max_bytes is not None and not (lag.is_caught_up and lag.total_bytes is None):  # MariaDB tells no bytes
        if lag.total_bytes is None:
            yield "behind by nobody knows how many bytes"
        elif lag.total_bytes > policy.max_bytes:
            yield f"{format_bytes(lag.total_bytes)} behind"
    if policy.max_age is not None:
        if lag.seconds_at_most is None:
            yield "lacks something of nobody knows what age"
        elif lag.seconds_at_most > policy.max_age.total_seconds():
            yield f"up to {format_duration(round(lag.seconds_at_most, 1))} behind"
