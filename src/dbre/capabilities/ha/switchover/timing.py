"""How long the last planned change of primary of a cluster kept clients from writing, by the journal of its operation."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dbre.capabilities.ha.switchover.ground import Timing
from dbre.core.operation.desk import OperationFilter
from dbre.core.operation.listing import list_operations
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.reading import load
from dbre.core.operation.states import OperationState
from dbre.core.store import Store

__all__ = ["stored_timing", "timing_of"]

KIND = "ha.switchover"


async def stored_timing(store: Store, cluster: str) -> Timing | None:
    """Of the newest that succeeded; None where there is none."""
    wanted = OperationFilter(kind=KIND, target=f"cluster/{cluster}", states=(OperationState.SUCCEEDED,), limit=1)
    async with store.read() as connection:
        found = await list_operations(connection, wanted, may_see=lambda _: True)
        return timing_of(await load(connection, found[0].id)) if found else None


def timing_of(record: OperationRecord) -> Timing | None:
    """From the moment at which the old primary began to give up to the one at which the new one took writes."""
    told: dict[str, Any] = {}
    for one in record.steps:
        result: Mapping[str, Any] = one.result or {}
        told |= {key: result[key] for key in ("began_at", "ended_at") if key in result}
        if one.is_recovered and "began_at" in result:  # who was killed began it, not who looked afterwards
            told["began_at"] = one.started_at.isoformat()
    if len(told) < 2:
        return None
    began, ended = (datetime.fromisoformat(told[key]) for key in ("began_at", "ended_at"))
    return Timing(seconds=max(0.0, (ended - began).total_seconds()), ended_at=ended)
