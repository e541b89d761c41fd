"""Sets that something reads just now: expiry must neither mark nor delete them under it."""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.restoring.claims import live_claims
from dbre.core.operation import tables
from dbre.core.operation.states import FINAL, OperationState
from dbre.core.store import Store

__all__ = ["sets_in_use"]

_READERS = ("backup.restore", "backup.restore_table", "backup.drill")
_IDLE = (*FINAL, OperationState.PLANNED)
"""A plan that nobody asked to run uses nothing; one that waits for a person does."""


async def sets_in_use(ground: BackupGround, store: Store) -> dict[str, str]:
    """The sets that operations on any machine, and commands on this one, read now; with words that say who.

    Chains are given as far as they are known to whoever reads; a set's parents follow from the catalog.
    """
    found: dict[str, str] = {}
    table, step = tables.operation, tables.step
    running = (
        select(table.c.id, table.c.kind, table.c.plan, step.c.result)
        .outerjoin(step, (step.c.operation_id == table.c.id) & (step.c.name == "choose") & (step.c.phase == "do"))
        .where(table.c.kind.in_(_READERS), table.c.state.not_in([one.value for one in _IDLE]))
    )
    async with store.read() as connection:
        rows = (await connection.execute(running)).all()
    for row in rows:
        found |= dict.fromkeys(_sets_of(row), f"operation {row.id} ({row.kind}) reads it")
    for claim in await live_claims(ground.directory):
        found |= dict.fromkeys(claim.sets, f"process {claim.process} on this machine reads it ({claim.purpose})")
    return found


def _sets_of(row: Any) -> Iterator[str]:
    observed = json.loads(row.plan)["observed"]
    yield from observed.get("chain", ())
    if isinstance(observed.get("set"), str):
        yield observed["set"]
    if isinstance(row.result, dict):
        yield from row.result.get("chain", ())
