"""Suspending and resuming a schedule, by somebody who may."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.model import AuditDraft, AuditRecorder
from dbre.core.clock import Clock
from dbre.core.identity.model import Permission, Principal
from dbre.core.operation.schedule.store import set_suspended
from dbre.core.store import Store

__all__ = ["switch_schedule"]


async def switch_schedule(
    store: Store,
    recorder: AuditRecorder,
    clock: Clock,
    principal: Principal,
    name: str,
    *,
    is_suspended: bool,
    labels: Mapping[str, str] | None = None,
) -> bool:
    """Run no slot of a configured schedule from now on, or run them again; whether that changes anything.

    ``labels`` are those of the cluster that its operation acts on; None: it names none.

    Raises: Denied.
    """
    principal.require(Permission.ADMINISTER, labels, what=f"schedule {name}")
    verb = "suspended" if is_suspended else "resumed"

    async def write(connection: AsyncConnection) -> bool:
        by = principal.name if is_suspended else None
        is_changed = await set_suspended(store, connection, name, by=by, now=clock.now())
        if is_changed:
            draft = AuditDraft(action=f"schedule.{verb}", actor=principal.name, subject=f"schedule/{name}")
            await recorder.record(connection, draft)
        return is_changed

    return await store.grouped(write)
