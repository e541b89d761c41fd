"""The gate ``target-lock``: says which operation holds the target. The lock itself is taken with the claim."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from dbre.core.gates.asking import LOCK_GATE
from dbre.core.gates.model import GateDecision, GateQuestion, GateVerdict, Moment
from dbre.core.operation.lock_conflict import conflicting
from dbre.core.text import counted, printable
from dbre.core.units import format_duration

if TYPE_CHECKING:
    from dbre.core.operation.gate_reading import Holder
    from dbre.core.operation.lock_conflict import HeldLock
    from dbre.core.store import Store

__all__ = ["TargetLockGate"]


class TargetLockGate:
    """Holds an operation whose target, or a part or the whole of it, is held by another one."""

    name = LOCK_GATE
    summary = "no other operation holds the target"
    asks_always = True

    def __init__(self, store: "Store | None") -> None:
        self._store = store

    def fails_open(self, question: GateQuestion) -> bool:  # noqa: ARG002 - the same for all
        """Always: the lock is taken with the claim, and a store that cannot be read cannot be claimed in."""
        return True

    async def decide(self, question: GateQuestion) -> GateDecision:
        """Allow where the target is free; an operation that has begun holds it itself."""
        if self._store is None or question.moment is not Moment.START:
            return self._decision(GateVerdict.ALLOW, "the operation holds its target itself")
        from dbre.core.operation.gate_reading import holder_of, locks_near

        plan = question.planned.plan
        async with self._store.read() as connection:
            locks = await locks_near(connection, plan.target)
            others = conflicting(plan.target, plan.lock, locks, own={question.operation_id, *question.parent_ids})
            holder = await holder_of(connection, others[0]) if others else None
        if holder is None:
            return self._decision(GateVerdict.ALLOW, f"{printable(plan.target, limit=200)} is free")
        return self._decision(
            GateVerdict.HOLD, _reason(plan.target, holder, others, question.at), _evidence(holder, others, question.at)
        )

    def _decision(self, verdict: GateVerdict, reason: str, evidence: Mapping[str, object] | None = None) -> GateDecision:
        return GateDecision(gate=self.name, verdict=verdict, reason=reason, evidence=evidence or {})


def _reason(target: str, holder: "Holder", others: "tuple[HeldLock, ...]", at: datetime) -> str:
    lock = holder.lock
    held = "" if lock.target == target else f", which holds {printable(lock.target, limit=150)}"
    words = [holder.kind, holder.requested_by, format_duration(max((at - lock.at).total_seconds(), 0))]
    if holder.state not in ("running", "verifying"):
        words.append(holder.state.replace("_", " "))
    if holder.ends_about is not None:
        left = (holder.ends_about - at).total_seconds()
        words.append(f"about {format_duration(left)} left" if left > 0 else f"{format_duration(-left)} longer than planned")
    more = f" and {counted(len(others) - 1, 'other operation')}" if len(others) > 1 else ""
    shown = printable(", ".join(words), limit=250)
    return f"{printable(target, limit=150)} is held by operation {lock.operation_id} ({shown}){held}{more}"


def _evidence(holder: "Holder", others: "tuple[HeldLock, ...]", at: datetime) -> Mapping[str, object]:
    return {
        "operation_id": str(holder.lock.operation_id),
        "target": holder.lock.target,
        "mode": holder.lock.mode.value,
        "kind": holder.kind,
        "state": holder.state.value,
        "requested_by": holder.requested_by,
        "held_since": holder.lock.at.isoformat(),
        "held_seconds": max((at - holder.lock.at).total_seconds(), 0.0),
        "ends_about": holder.ends_about.isoformat() if holder.ends_about else None,
        "holders": [str(one.operation_id) for one in others[:20]],
    }
