"""Operations of dbre that must not run while the primary changes, and when its change was done last, by the journal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dbre.core.operation.desk import OperationFilter
from dbre.core.operation.listing import list_operations
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState
from dbre.core.store import Store

__all__ = ["OtherWork", "Rehearsal", "stored_rehearsal", "stored_work"]

_AT_WORK = (
    OperationState.RUNNING,
    OperationState.VERIFYING,
    OperationState.COMPENSATING,
    OperationState.PAUSED,
    OperationState.NEEDS_OPERATOR,
)
_MOST = 100
_TURNING = ("ha.switchover", "ha.switch_route")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherWork:
    """An operation on the cluster that goes on."""

    operation: str
    kind: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """The last time that the routes of the cluster were turned by dbre, and all went well."""

    operation: str
    ended_at: datetime


async def stored_work(store: Store, cluster: str, kinds: Sequence[str]) -> tuple[OtherWork, ...]:
    """Those of ``kinds`` on a cluster or on something of it; one that waits for a person counts."""
    wanted = OperationFilter(target=f"cluster/{cluster}", states=_AT_WORK, limit=_MOST)
    async with store.read() as connection:
        found = await list_operations(connection, wanted, may_see=lambda _: True)
    return tuple(
        OtherWork(operation=str(one.id), kind=one.planned.kind, summary=one.planned.plan.summary)
        for one in found
        if one.planned.kind in kinds
    )


async def stored_rehearsal(store: Store, cluster: str) -> Rehearsal | None:
    """The newest change of primary or of routes that succeeded; None where there is none."""
    found: list[OperationRecord] = []
    async with store.read() as connection:
        for kind in _TURNING:
            wanted = OperationFilter(kind=kind, target=f"cluster/{cluster}", states=(OperationState.SUCCEEDED,), limit=1)
            found += await list_operations(connection, wanted, may_see=lambda _: True)
    ended = [(one.ended_at, str(one.id)) for one in found if one.ended_at is not None]
    return Rehearsal(operation=max(ended)[1], ended_at=max(ended)[0]) if ended else None
