"""What failing back stands on: rejoining, and who was primary before by the word of the journal."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dbre.capabilities.ha.rejoin.ground import RejoinGround
from dbre.core.operation.desk import OperationFilter
from dbre.core.operation.listing import list_operations
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState
from dbre.core.store import Store

__all__ = ["FailbackGround", "failback_ground"]

_CHANGES = ("ha.failover", "ha.dr_failover", "ha.switchover")
_NEWEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FailbackGround:
    """The servers are those of rejoining."""

    rejoins: RejoinGround
    before: Callable[[str, str], Awaitable[str | None]]  # of a cluster: who gave its place to this one last; None: not known


def failback_ground(rejoins: RejoinGround, store: Store | None) -> FailbackGround:
    """Without ``store`` nobody knows who was primary before."""

    async def before(cluster: str, primary: str) -> str | None:
        return await _stored(store, cluster, primary) if store is not None else None

    return FailbackGround(rejoins=rejoins, before=before)


async def _stored(store: Store, cluster: str, primary: str) -> str | None:
    found: list[OperationRecord] = []
    async with store.read() as connection:
        for kind in _CHANGES:
            wanted = OperationFilter(kind=kind, target=f"cluster/{cluster}", states=(OperationState.SUCCEEDED,), limit=_NEWEST)
            found += await list_operations(connection, wanted, may_see=lambda _: True)
    changes = [
        (one.ended_at, observed["primary"])
        for one in found
        if one.ended_at is not None and (observed := one.planned.plan.observed).get("candidate") == primary
    ]
    return str(max(changes)[1]) if changes else None
