"""The truth that clients tell: how long they were without service, and whether what they were promised is there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.clients.ground import Balance, ClientGround, HistoryVerdict, LedgerEntry, LedgerLook
from dbre.capabilities.ha.clients.records import ClientAct, is_write
from dbre.capabilities.ha.clients.timing import Timing, measure
from dbre.ports.client_work import ClientWorkload

__all__ = ["ClientTruth", "NodeAcks", "tell_truth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAcks:
    """When a node acknowledged writes for the first and for the last time, and how many."""

    node: str
    first_at: float
    last_at: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTruth:
    """What clients saw. Times are seconds since the begin; ids of writes are those of the history.

    ``balance`` is None where it is not known what is there in the end; its overlaps are known all the same, as
    ``overlap``: how many writes an old node acknowledged that were sent after a new one had begun to.
    """

    workload: ClientWorkload
    seconds: float
    acts: int
    acknowledged: int
    failed: int
    unknown: int
    missed: int
    timing: Timing
    nodes: Sequence[NodeAcks]
    balance: Balance | None
    overlap: int
    verdict: HistoryVerdict
    reasons: Sequence[tuple[str, int]]  # why acts failed, the most frequent first
    warnings: Sequence[str] = ()

    @property
    def lost(self) -> Sequence[int]:
        """Acknowledged, and not there; empty also where that is not known (``balance`` is None)."""
        return self.balance.lost if self.balance is not None else ()


def tell_truth(
    acts: Sequence[ClientAct],
    *,
    ground: ClientGround,
    workload: ClientWorkload,
    verdict: HistoryVerdict,
    until: float,
    names: Mapping[str, str],
    since: float | None = None,
    warnings: Sequence[str] = (),
) -> ClientTruth:
    """Measure and weigh what clients did. The last act is the read of all that is there, if somebody could make it.

    ``names`` are instances of the inventory by the address under which nodes call themselves.
    """
    during = [act for act in acts if act.client != FINAL]
    final = next((act for act in reversed(acts) if act.client == FINAL and act.f == "read" and act.kind == "ok"), None)
    counts = Counter(act.kind for act in during if not act.is_missed)
    writes = [act for act in during if is_write(act)]
    overlaps = ground.weigh([_entry(act, place, names) for place, act in enumerate(writes)], range(len(writes)), ()).overlaps
    return ClientTruth(
        workload=workload,
        seconds=until,
        acts=len(during),
        acknowledged=counts["ok"],
        failed=counts["fail"],
        unknown=counts["info"],
        missed=sum(act.is_missed for act in during),
        timing=measure(during, until=until, since=since),
        nodes=_nodes(writes, names),
        balance=_balance(during, final, ground, names) if workload in (ClientWorkload.LEDGER, ClientWorkload.SET) else None,
        overlap=sum(len(one.after) for one in overlaps),
        verdict=verdict,
        reasons=Counter(act.error for act in during if act.is_bad and act.error).most_common(),
        warnings=warnings,
    )


FINAL = "final"
"""The name of the client that reads when all is over."""


def _balance(
    acts: Sequence[ClientAct], final: ClientAct | None, ground: ClientGround, names: Mapping[str, str]
) -> Balance | None:
    if final is None:
        return None
    writes = [_entry(act, act.asked, names) for act in acts if is_write(act)]
    reads = [
        LedgerLook(began_at=act.sent_at, ended_at=act.ended_at, seen=act.value, node=_named(act.node, names))
        for act in acts
        if act.f == "read" and act.kind == "ok" and act.ended_at is not None
    ]
    return ground.weigh(writes, final.value, reads)


def _entry(act: ClientAct, name: int, names: Mapping[str, str]) -> LedgerEntry:
    is_acked = act.kind == "ok"
    return LedgerEntry(
        id=name,
        sent_at=act.sent_at,
        acked_at=act.ended_at if is_acked else None,
        is_certain_failure=act.kind == "fail",
        node=_named(act.node, names) if is_acked else None,
    )


def _nodes(writes: Sequence[ClientAct], names: Mapping[str, str]) -> list[NodeAcks]:
    times: dict[str, list[float]] = {}
    for act in writes:
        if act.kind == "ok" and act.ended_at is not None and act.node is not None:
            times.setdefault(names.get(act.node, act.node), []).append(act.ended_at)
    found = [NodeAcks(node=node, first_at=min(all_), last_at=max(all_), count=len(all_)) for node, all_ in times.items()]
    return sorted(found, key=lambda one: (one.first_at, one.node))


def _named(node: str | None, names: Mapping[str, str]) -> str | None:
    return names.get(node, node) if node is not None else None
