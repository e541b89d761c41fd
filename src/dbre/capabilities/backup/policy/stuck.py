"""Findings on operations that wait for a person: until somebody resolves one, no copy of its cluster is taken or expired."""

from collections.abc import Sequence

from sqlalchemy import select

from dbre.capabilities.backup.taking.planning import lock_target
from dbre.core.checks import Finding, Severity
from dbre.core.fleet import Cluster
from dbre.core.operation import tables
from dbre.core.operation.states import OperationState
from dbre.core.store import Store

__all__ = ["examine_stuck"]

_operation = tables.operation.c


async def examine_stuck(store: Store, clusters: Sequence[Cluster]) -> list[Finding]:
    """Operations on the backups of these clusters whose outcome nobody knows."""
    targets = {lock_target(one.name): one.name for one in clusters}
    wanted = select(_operation.id, _operation.kind, _operation.target_key).where(
        _operation.state == OperationState.NEEDS_OPERATOR.value, _operation.target_key.in_(list(targets))
    )
    async with store.read() as connection:
        rows = (await connection.execute(wanted.order_by(_operation.id))).all()
    return [
        Finding(
            rule="backup.needs_operator",
            severity=Severity.ERROR,
            subject=targets[row.target_key],
            summary=f"{row.kind} {row.id} needs an operator, and no other backup of the cluster begins before that",
            fix=f"dbre op show {row.id} tells how; then dbre op resolve {row.id} done|redo|undo|give-up --reason TEXT",
            evidence={"operation": str(row.id), "kind": row.kind},
        )
        for row in rows
    ]
