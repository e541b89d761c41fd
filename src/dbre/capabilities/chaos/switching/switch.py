"""The switch that ends every experiment of an installation, and lets none begin until it is opened again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.chaos.tables import chaos_switch
from dbre.core.audit.log import AuditLog
from dbre.core.audit.model import AuditDraft
from dbre.core.clock import Clock
from dbre.core.errors import UsageError
from dbre.core.identity.model import Permission, Principal
from dbre.core.store import Store, announce
from dbre.core.text import printable

__all__ = ["TOPIC", "Switch", "close_switch", "open_switch", "read_switch"]

TOPIC = "chaos-switch"
"""What is announced when it was turned."""

_NAME = "all"
_MOST_TEXT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """How it stands. One that nobody ever turned is open: experiments may run."""

    is_closed: bool = False
    by: str = ""
    reason: str = ""
    at: datetime | None = None

    @property
    def words(self) -> str:
        """Who closed it, when and why."""
        if not self.is_closed or self.at is None:
            return "experiments may run"
        return f"{printable(self.by)} stopped all experiments at {self.at:%Y-%m-%d %H:%M:%SZ}: {printable(self.reason)}"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        at = self.at.isoformat().replace("+00:00", "Z") if self.at is not None else None
        return {"is_closed": self.is_closed, "by": self.by or None, "reason": self.reason or None, "at": at}


async def read_switch(store: Store) -> Switch:
    """How it stands now. Raises: a StoreError."""
    row = chaos_switch.c
    async with store.read() as connection:
        found = (await connection.execute(select(row.is_closed, row.by, row.reason, row.at).where(row.name == _NAME))).first()
    return Switch() if found is None else Switch(is_closed=found.is_closed, by=found.by, reason=found.reason, at=found.at)


async def close_switch(store: Store, clock: Clock, principal: Principal, reason: str) -> Switch:
    """End every experiment and let none begin; whoever may operate anything may do so: stopping is never dangerous.

    Raises: Denied; UsageError for a reason that is none; a StoreError.
    """
    principal.require(Permission.OPERATE, what="experiments")
    return await _turn(store, clock, principal, reason, is_closed=True)


async def open_switch(store: Store, clock: Clock, principal: Principal, reason: str) -> Switch:
    """Let experiments begin again. Raises: Denied for who is no administrator; UsageError; a StoreError."""
    principal.require(Permission.ADMINISTER, {}, what="the switch of all experiments")
    return await _turn(store, clock, principal, reason, is_closed=False)


async def _turn(store: Store, clock: Clock, principal: Principal, reason: str, *, is_closed: bool) -> Switch:
    if not reason.strip() or len(reason) > _MOST_TEXT:
        raise UsageError(f"a reason has 1 to {_MOST_TEXT} characters", hint='--reason "latency on orders"')
    switch = Switch(is_closed=is_closed, by=principal.name, reason=reason.strip(), at=clock.now())
    values = {"name": _NAME, "is_closed": is_closed, "by": switch.by, "reason": switch.reason, "at": switch.at}
    draft = AuditDraft(
        action="chaos.stopped" if is_closed else "chaos.opened",
        actor=principal.name,
        subject="chaos",
        data={"reason": switch.reason},
    )

    async def write(connection: AsyncConnection) -> None:
        await store.insert_or_update(chaos_switch, [values], keys=["name"], connection=connection)
        await AuditLog(clock).record(connection, draft)
        announce(connection, TOPIC)

    await store.grouped(write)
    return switch
