"""Is the primary dead? A table of verdicts over what observers and replicas tell, never more certain than that is.

The predicates are those of orchestrator's failure detection (go/inst/analysis_dao.go), with C replicas known, V of them
reachable and R of these still replicating, and our own for timelines, leases and several observers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dbre.ports.topology import Contact

__all__ = ["DEAD", "Action", "Evidence", "Judgement", "Lease", "ReplicaWord", "Verdict", "judge"]

_FEWEST_OBSERVERS = 2


class Verdict(StrEnum):
    """What is thought of a cluster; the first that applies, in this order, decides what may be done."""

    DUAL_PRIMARY = "dual_primary"
    DEAD_PRIMARY_AND_REPLICAS = "dead_primary_and_replicas"
    DEAD_PRIMARY_AND_SOME_REPLICAS = "dead_primary_and_some_replicas"
    DEAD_PRIMARY = "dead_primary"
    DEAD_PRIMARY_WITHOUT_REPLICAS = "dead_primary_without_replicas"
    UNREACHABLE_PRIMARY_WITH_LAGGING_REPLICAS = "unreachable_primary_with_lagging_replicas"
    UNREACHABLE_PRIMARY = "unreachable_primary"
    TOO_LITTLE_EVIDENCE = "too_little_evidence"
    EXHAUSTED_PRIMARY = "exhausted_primary"
    LEASEHOLDER_NOT_WRITABLE = "leaseholder_not_writable"
    NO_WRITABLE_PRIMARY = "no_writable_primary"
    LOCKED_SYNCHRONOUS_PRIMARY = "locked_synchronous_primary"
    LOCKED_SYNCHRONOUS_PRIMARY_HYPOTHESIS = "locked_synchronous_primary_hypothesis"
    ALL_REPLICAS_NOT_REPLICATING = "all_replicas_not_replicating"
    REPLICA_ON_WRONG_TIMELINE = "replica_on_wrong_timeline"
    ZOMBIE_REPLICA = "zombie_replica"
    DCS_QUORUM_LOST = "dcs_quorum_lost"
    PAUSED_CLUSTER = "paused_cluster"


class Action(StrEnum):
    """What a verdict allows; whether it is done is decided elsewhere."""

    NONE = "none"
    ASK_REPLICAS = "ask_replicas"  # again and at once: they know more
    FAIL_OVER = "fail_over"
    FENCE = "fence"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaWord:
    """What one replica tells, or that it cannot be reached."""

    is_reachable: bool
    is_replicating: bool = False  # the stream from the primary is connected, and something came within its time
    is_lagging: bool = False
    is_on_wrong_timeline: bool = False
    is_promised: bool = True  # somebody says that it follows: a replica that is down on purpose is not


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What the consensus store tells; without one there is no lease."""

    has_quorum: bool = True
    is_paused: bool = False
    holder_is_writable: bool | None = None  # None: nobody holds it, or the holder was not asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that was seen within one round. ``observers`` are vantage points with network paths of their own."""

    observers: Mapping[str, Contact]
    replicas: tuple[ReplicaWord, ...] = ()
    writable_primaries: int = 1  # nodes of this system that take writes
    synchronous_required: int = 0
    synchronous_ready: int = 0
    synchronous_locked_for: float | None = None  # seconds
    reasonable_lock_seconds: float = 10.0
    lease: Lease | None = None

    @property
    def silent(self) -> int:
        """Observers who heard nothing that counts towards death."""
        return sum(one.is_silence for one in self.observers.values())

    @property
    def is_alive(self) -> bool:
        """Whether one observer at least heard the primary itself: that is proof."""
        return any(one.is_alive for one in self.observers.values())

    @property
    def is_silent(self) -> bool:
        """Whether nobody heard the primary, and most observers have a reason that speaks for its death."""
        return not self.is_alive and self.silent * 2 > len(self.observers)

    @property
    def count(self) -> int:
        """C: replicas that are known."""
        return len(self.replicas)

    @property
    def valid(self) -> int:
        """V: of these, those that can be reached."""
        return sum(one.is_reachable for one in self.replicas)

    @property
    def replicating(self) -> int:
        """R: of those, the ones that still replicate from the primary."""
        return sum(one.is_reachable and one.is_replicating for one in self.replicas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All verdicts that apply, the one that decides first; ``reasons`` say why no more is allowed."""

    verdicts: tuple[Verdict, ...]
    action: Action
    reasons: tuple[str, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether nothing applies."""
        return not self.verdicts


def _all_lag(evidence: Evidence) -> bool:
    words = [one for one in evidence.replicas if one.is_reachable]
    return bool(words) and all(one.is_lagging for one in words)


def _is_locked(evidence: Evidence) -> bool:
    return evidence.is_alive and evidence.synchronous_ready < evidence.synchronous_required


def _was_locked_long(evidence: Evidence) -> bool:
    waited = evidence.synchronous_locked_for
    return waited is not None and waited >= evidence.reasonable_lock_seconds


_PREDICATES: Mapping[Verdict, Callable[[Evidence], bool]] = {
    Verdict.DUAL_PRIMARY: lambda e: e.writable_primaries > 1,
    Verdict.DEAD_PRIMARY_AND_REPLICAS: lambda e: e.is_silent and e.count > 0 and e.valid == 0,
    Verdict.DEAD_PRIMARY_AND_SOME_REPLICAS: lambda e: e.is_silent and 0 < e.valid < e.count and e.replicating == 0,
    Verdict.DEAD_PRIMARY: lambda e: e.is_silent and 0 < e.valid == e.count and e.replicating == 0,
    Verdict.DEAD_PRIMARY_WITHOUT_REPLICAS: lambda e: e.is_silent and e.count == 0,
    Verdict.UNREACHABLE_PRIMARY_WITH_LAGGING_REPLICAS: lambda e: e.is_silent and e.replicating > 0 and _all_lag(e),
    Verdict.UNREACHABLE_PRIMARY: lambda e: e.is_silent and e.replicating > 0 and not _all_lag(e),
    Verdict.TOO_LITTLE_EVIDENCE: lambda e: not e.is_alive and not e.is_silent,
    Verdict.EXHAUSTED_PRIMARY: lambda e: Contact.EXHAUSTED in e.observers.values(),
    Verdict.LEASEHOLDER_NOT_WRITABLE: lambda e: e.lease is not None and e.lease.holder_is_writable is False,
    Verdict.NO_WRITABLE_PRIMARY: lambda e: Contact.ANSWERED in e.observers.values() and e.writable_primaries == 0,
    Verdict.LOCKED_SYNCHRONOUS_PRIMARY: lambda e: _is_locked(e) and _was_locked_long(e),
    Verdict.LOCKED_SYNCHRONOUS_PRIMARY_HYPOTHESIS: lambda e: _is_locked(e) and not _was_locked_long(e),
    Verdict.ALL_REPLICAS_NOT_REPLICATING: lambda e: e.is_alive and e.valid > 0 and e.replicating == 0,
    Verdict.REPLICA_ON_WRONG_TIMELINE: lambda e: any(one.is_reachable and one.is_on_wrong_timeline for one in e.replicas),
    Verdict.ZOMBIE_REPLICA: lambda e: (
        e.is_alive and any(one.is_reachable and one.is_promised and not one.is_replicating for one in e.replicas)
    ),
    Verdict.DCS_QUORUM_LOST: lambda e: e.lease is not None and not e.lease.has_quorum,
    Verdict.PAUSED_CLUSTER: lambda e: e.lease is not None and e.lease.is_paused,
}

DEAD = (Verdict.DEAD_PRIMARY, Verdict.DEAD_PRIMARY_AND_SOME_REPLICAS)
"""Those that speak for a failover."""

_ASKING = (Verdict.UNREACHABLE_PRIMARY, Verdict.UNREACHABLE_PRIMARY_WITH_LAGGING_REPLICAS)


def judge(evidence: Evidence) -> Judgement:
    """The verdicts over a round of evidence, and the most that they allow."""
    found = tuple(verdict for verdict in Verdict if _PREDICATES[verdict](evidence))
    first = found[0] if found else None
    if first is Verdict.DUAL_PRIMARY:
        return Judgement(verdicts=found, action=Action.FENCE, reasons=())
    if first in _ASKING:
        reason = "replicas still receive from the primary: it lives, and we do not reach it"
        return Judgement(verdicts=found, action=Action.ASK_REPLICAS, reasons=(reason,))
    if first in DEAD:
        against = tuple(_doubts(evidence))
        return Judgement(verdicts=found, action=Action.NONE if against else Action.FAIL_OVER, reasons=against)
    if first is Verdict.DEAD_PRIMARY_AND_REPLICAS:
        return Judgement(verdicts=found, action=Action.NONE, reasons=("nothing is reachable: we may be the isolated ones",))
    if first is Verdict.DEAD_PRIMARY_WITHOUT_REPLICAS:
        return Judgement(verdicts=found, action=Action.NONE, reasons=("there is no replica to promote",))
    if first is Verdict.TOO_LITTLE_EVIDENCE:
        reason = "nobody heard the primary, and too few have a reason that speaks for its death"
        return Judgement(verdicts=found, action=Action.NONE, reasons=(reason,))
    return Judgement(verdicts=found, action=Action.NONE)


def _doubts(evidence: Evidence) -> list[str]:
    doubts = []
    if len(evidence.observers) < _FEWEST_OBSERVERS:
        doubts.append("one observer alone cannot tell a dead primary from its own broken network")
    if evidence.lease is not None and evidence.lease.is_paused:
        doubts.append("the cluster is paused: somebody wants no automatic action")
    if evidence.lease is not None and not evidence.lease.has_quorum:
        doubts.append("the consensus store has no quorum: nobody may be promoted")
    return doubts
