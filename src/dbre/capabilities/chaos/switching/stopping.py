"""Seeing every experiment end once the switch is closed: each is cancelled too, so that none begins when it is opened again."""

from collections.abc import Sequence

from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.operation.desk import OperationDesk, OperationFilter
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import FINAL, OperationState

__all__ = ["KINDS", "active_experiments", "end_all"]

KINDS = ("chaos.suite", "chaos.run")
_NOT_ENDED = tuple(one for one in OperationState if one not in FINAL)
_LOOK_SECONDS = 0.3
_MOST = 200


async def active_experiments(desk: OperationDesk) -> list[OperationRecord]:
    """Every suite and experiment that has not ended, the newest first."""
    return [one for kind in KINDS for one in await desk.list(OperationFilter(kind=kind, states=_NOT_ENDED, limit=_MOST))]


async def end_all(desk: OperationDesk, clock: Clock, *, reason: str, limit_seconds: float) -> Sequence[OperationRecord]:
    """Cancel what has not ended and wait for its end; what needs an operator is not waited for."""
    found = {one.id: one for one in await active_experiments(desk)}
    for one in list(found.values()):
        if one.state is not OperationState.NEEDS_OPERATOR:
            found[one.id] = await _cancelled(desk, one, reason)
    deadline = clock.monotonic() + limit_seconds
    while any(_goes_on(one) for one in found.values()) and clock.monotonic() < deadline:
        await clock.sleep(_LOOK_SECONDS)
        for one in [one for one in found.values() if _goes_on(one)]:
            found[one.id] = await desk.get(one.id)
    return list(found.values())


async def _cancelled(desk: OperationDesk, one: OperationRecord, reason: str) -> OperationRecord:
    try:
        return await desk.cancel(one.id, reason=reason)
    except DbreError:  # it has just ended by itself, or is compensating already: the switch is what counts
        return await desk.get(one.id)


def _goes_on(one: OperationRecord) -> bool:
    return not one.is_final and one.state is not OperationState.NEEDS_OPERATOR
