"""How far each replica is behind, stage by stage: positions of upstreams are read before those of replicas."""

from collections.abc import Mapping
from dataclasses import dataclass

from dbre.capabilities.ha.model import Edge, Topology
from dbre.ports.topology import LogPosition, NodeView

__all__ = ["ReplicaLag", "lags_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLag:
    """One replica behind the primary. None is unknown, 0 a measured zero."""

    replica: str
    upstream: str | None
    state: str | None
    sync_state: str | None
    send_bytes: int | None  # written by the upstream, not yet sent
    receive_bytes: int | None  # sent or written by the upstream, not yet received
    replay_bytes: int | None  # received, not yet applied
    total_bytes: int | None  # written by the primary, not yet applied
    transactions: int | None  # of the primary, not yet applied
    seconds: float | None  # what is missing is at least that old
    seconds_at_most: float | None

    @property
    def is_caught_up(self) -> bool | None:
        """Whether it has applied all that the primary had written a moment before."""
        if self.total_bytes is None and self.transactions is None:
            return None
        return not self.total_bytes and not self.transactions


def lags_of(before: Topology, after: Mapping[str, NodeView]) -> list[ReplicaLag]:
    """The lag of every replica of ``before``; ``after`` are the views of replicas that were read later.

    So a replica can only look closer than it was, never ahead of its upstream: what looks ahead has caught up.
    """
    return [_lag(before, edge, after[edge.downstream]) for edge in before.edges if edge.downstream in after]


def _lag(before: Topology, edge: Edge, replica: NodeView) -> ReplicaLag:
    root = before.node(before.root_of(edge.downstream))
    primary = root.view if root is not None and root.is_primary else None
    upstream = before.node(edge.upstream) if edge.upstream is not None else None
    told = next((one for one in replica.upstreams if one.channel == edge.told.channel), edge.told)
    written = _reach(upstream.view) if upstream is not None and upstream.view is not None else None
    sent = edge.seen.sent if edge.seen is not None else None
    total = _behind(replica.position, primary.position if primary is not None else None)
    transactions = (
        replica.position.transactions_behind(primary.position)
        if replica.position is not None and primary is not None and primary.position is not None
        else None
    )
    replay = told.behind_bytes if told.behind_bytes is not None else _behind(replica.position, told.received)
    is_caught_up = None if total is None and transactions is None else not total and not transactions
    node = before.node(edge.downstream)
    has_one_row = root is not None and node is not None and root.instance.cluster == node.instance.cluster
    seconds, at_most = (0.0, 0.0) if is_caught_up else _seconds(primary, replica) if has_one_row else (None, None)
    return ReplicaLag(
        replica=edge.downstream,
        upstream=edge.upstream or (str(edge.address) if edge.address is not None else None),
        state=edge.seen.state if edge.seen is not None else None,
        sync_state=edge.seen.sync_state if edge.seen is not None else None,
        send_bytes=_behind(sent, written),
        receive_bytes=_behind(told.received, sent or written),
        replay_bytes=replay,
        total_bytes=total,
        transactions=transactions,
        seconds=seconds,
        seconds_at_most=at_most,
    )


def _reach(view: NodeView) -> LogPosition | None:
    """How far a server can feed others: a primary what it wrote, a cascading replica what it received."""
    received = next((one.received for one in view.upstreams if one.received is not None), None)
    return received or view.position


def _behind(behind: LogPosition | None, ahead: LogPosition | None) -> int | None:
    found = behind.bytes_behind(ahead) if behind is not None and ahead is not None else None
    return None if found is None else max(found, 0)


def _seconds(primary: NodeView | None, replica: NodeView) -> tuple[float | None, float | None]:
    """Bounds of the age of what is missing, by heartbeats: both of its times come from the clock of who wrote them.

    The replica lacks something that came after its newest heartbeat. So the age lies between the distance of both heartbeats,
    and the time since the replica's one was written.
    """
    if primary is None or primary.heartbeat is None or replica.heartbeat is None:
        return None, None
    least = (primary.heartbeat.written_at - replica.heartbeat.written_at).total_seconds()
    most = (primary.measured_at - replica.heartbeat.written_at).total_seconds()
    least = max(least, 0.0)
    return least, max(most, least)
