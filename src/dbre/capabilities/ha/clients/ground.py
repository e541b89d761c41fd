"""What probe clients stand on, and what judges them; put together by the composition root."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dbre.core.fleet import Fleet
from dbre.ports.engine import EngineRegistry

__all__ = ["Anomaly", "Balance", "ClientGround", "HistoryVerdict", "LedgerEntry", "LedgerLook", "NodeOverlap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One write: times in seconds of the history; ``acked_at`` is None where no acknowledgement came."""

    id: int
    sent_at: float
    acked_at: float | None
    is_certain_failure: bool
    node: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLook:
    """What a read between these times saw."""

    began_at: float
    ended_at: float
    seen: Sequence[int]
    node: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOverlap:
    """What a node acknowledged that was sent after another one had begun to acknowledge: two primaries, or a way back."""

    old: str
    new: str
    new_first_at: float
    after: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Acknowledged writes held against what is there; each by its id."""

    lost: Sequence[int] = ()
    phantom: Sequence[int] = ()  # unknown, and there: no fault
    duplicate: Sequence[int] = ()
    resurrected: Sequence[int] = ()  # failed for certain, and there
    unexpected: Sequence[int] = ()
    stale: Sequence[int] = ()
    overlaps: Sequence[NodeOverlap] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """One kind of anomaly of a history."""

    name: str
    count: int
    is_violation: bool
    summary: str
    proof: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryVerdict:
    """What the checker says of a history: ``ok``, ``anomaly`` or ``unknown``, which is never ok."""

    verdict: str
    model: str
    anomalies: Sequence[Anomaly] = ()
    unknown: Sequence[str] = ()
    facts: dict[str, int] = field(default_factory=dict)


class _Check(Protocol):
    def __call__(self, history: Path, *, workload: str, model: str | None) -> HistoryVerdict: ...


class _Weigh(Protocol):
    def __call__(self, writes: Sequence[LedgerEntry], final: Sequence[int], reads: Sequence[LedgerLook]) -> Balance: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientGround:
    """``program`` is that of a client process; ``check`` and ``weigh`` are of another capability."""

    fleet: Fleet
    engines: EngineRegistry
    program: Sequence[str]
    check: _Check
    weigh: _Weigh
