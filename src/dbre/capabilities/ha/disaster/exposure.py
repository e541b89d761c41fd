"""What would be lost if a replica were promoted now: pure rules over one sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.lag import ReplicaLag
from dbre.capabilities.ha.model import Edge, Topology
from dbre.core.text import counted
from dbre.core.units import format_bytes, format_duration
from dbre.ports.topology import LogPosition

__all__ = ["Exposure", "exposure_of"]

_UNKNOWN_WEIGHT = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What a replica had not received of what its primary had written when both were asked. Unknown is None, never 0."""

    replica: str
    is_receiving: bool
    bytes: int | None
    transactions: int | None
    seconds: float | None  # what is missing is at most so old

    @property
    def is_nothing(self) -> bool:
        """Whether it has all."""
        return (self.bytes is not None or self.transactions is not None) and not self.bytes and not self.transactions

    @property
    def weight(self) -> tuple[bool, int]:
        """To rank by: who receives comes first, then who lacks least."""
        lack = self.bytes if self.bytes is not None else self.transactions
        return not self.is_receiving, lack if lack is not None else _UNKNOWN_WEIGHT

    @property
    def text(self) -> str:
        """One line with numbers.

        >>> Exposure(replica="b", is_receiving=True, bytes=512, transactions=None, seconds=1.5).text
        'at most 512 B, up to 1.5 s old'
        """
        amount = (
            format_bytes(self.bytes)
            if self.bytes is not None
            else counted(self.transactions, "transaction")
            if self.transactions is not None
            else None
        )
        if amount is None:
            return "nobody knows how much"
        if self.seconds is not None:
            return f"at most {amount}, up to {format_duration(round(self.seconds, 3))} old"
        return f"at most {amount}, and nobody knows how old: dbre server writes no heartbeat there"


def exposure_of(topology: Topology, lags: Sequence[ReplicaLag]) -> dict[str, Exposure]:
    """Of each replica that follows somebody; asked with the primary, so that it may look worse than it is, never better."""
    behind = {one.replica: one for one in lags}
    found: dict[str, Exposure] = {}
    for edge in topology.edges:
        root = topology.node(topology.root_of(edge.downstream))
        written = root.view.position if root is not None and root.is_primary and root.view is not None else None
        received = _received(topology, edge)
        lag = behind.get(edge.downstream)
        lack = _least(_bytes(received, written), lag.total_bytes if lag is not None else None)
        missing = _least(_transactions(received, written), lag.transactions if lag is not None else None)
        is_nothing = (lack is not None or missing is not None) and not lack and not missing
        found[edge.downstream] = Exposure(
            replica=edge.downstream,
            is_receiving=bool(edge.told.is_receiving),
            bytes=lack,
            transactions=missing,
            seconds=0.0 if is_nothing else lag.seconds_at_most if lag is not None else None,
        )
    return found


def _least(*bounds: int | None) -> int | None:
    """What it had received at first, and what it had applied a moment later: both are bounds, the lower one counts."""
    return min((max(one, 0) for one in bounds if one is not None), default=None)


def _bytes(behind: LogPosition | None, ahead: LogPosition | None) -> int | None:
    return behind.bytes_behind(ahead) if behind is not None and ahead is not None else None


def _transactions(behind: LogPosition | None, ahead: LogPosition | None) -> int | None:
    return behind.transactions_behind(ahead) if behind is not None and ahead is not None else None


def _received(topology: Topology, edge: Edge) -> LogPosition | None:
    """The furthest that it has, applied or not."""
    node = topology.node(edge.downstream)
    return edge.told.received or (node.view.position if node is not None and node.view is not None else None)
