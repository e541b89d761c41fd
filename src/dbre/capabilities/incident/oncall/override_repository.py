"""Overrides of schedules in the state store: added, revoked, never deleted; each change with an audit entry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.oncall.shifts import Override
from dbre.capabilities.incident.oncall.tables import oncall_overrides
from dbre.core.audit.log import AuditLog
from dbre.core.audit.model import AuditDraft
from dbre.core.clock import Clock
from dbre.core.errors import UsageError
from dbre.core.ids import uuid7
from dbre.core.store import Store
from dbre.core.text import quoted

__all__ = ["NewOverride", "add_overrides", "overrides_of", "revoke_override"]

_LONGEST_DAYS = 366


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOverride:
    """What is asked for. ``source`` is where it came from: a command, or the UID of an event in a calendar file."""

    schedule: str
    contact: str
    replaces: str | None
    starts_at: datetime
    ends_at: datetime
    reason: str = ""
    source: str = "command"

    def check(self) -> None:
        """Raises: UsageError where it has no length, or a senseless one."""
        if self.ends_at <= self.starts_at:
            raise UsageError(
                f"the override of {self.contact} ends at {self.ends_at.isoformat()}, not after it begins",
                hint="write --from before --until",
            )
        if (self.ends_at - self.starts_at).days > _LONGEST_DAYS:
            raise UsageError(f"the override of {self.contact} is longer than {_LONGEST_DAYS} days", hint="change the schedule")


async def add_overrides(store: Store, asked: Sequence[NewOverride], *, by: str, clock: Clock) -> tuple[Override, ...]:
    """Write overrides in one transaction; those of a calendar file that are there already are left as they are.

    Raises: UsageError; a StoreError.
    """
    for one in asked:
        one.check()
    audit, now = AuditLog(clock), clock.now()
    added: list[Override] = []
    async with store.begin() as connection:
        for one in asked:
            if one.source != "command" and await _is_there(connection, one):
                continue
            found = _override(one, uuid7(clock), by)
            row = {name: getattr(found, name) for name in Override.__dataclass_fields__}
            await connection.execute(insert(oncall_overrides).values({**row, "created_at": now}))
            await audit.record(connection, _draft("oncall.override_added", found, by))
            added.append(found)
    return tuple(added)


async def overrides_of(
    connection: AsyncConnection, schedule: str | None = None, *, ending_after: datetime
) -> tuple[Override, ...]:
    """Overrides that hold, the later added last; ``None``: of all schedules."""
    table = oncall_overrides
    statement = select(table).where(table.c.revoked_at.is_(None), table.c.ends_at > ending_after)
    if schedule is not None:
        statement = statement.where(table.c.schedule == schedule)
    rows = await connection.execute(statement.order_by(table.c.created_at, table.c.id))
    return tuple(_of(row) for row in rows)


async def revoke_override(store: Store, override_id: UUID, *, by: str, clock: Clock) -> Override:
    """Take an override back. Raises: UsageError where there is none, or it was revoked before."""
    table = oncall_overrides
    async with store.begin() as connection:
        row = (await connection.execute(select(table).where(table.c.id == override_id))).first()
        if row is None or row.revoked_at is not None:
            what = "is revoked already" if row is not None else "does not exist"
            raise UsageError(f"override {quoted(str(override_id), limit=40)} {what}", hint="dbre oncall override list")
        values = {"revoked_at": clock.now(), "revoked_by": by}
        await connection.execute(update(table).where(table.c.id == override_id).values(values))
        found = _of(row)
        await AuditLog(clock).record(connection, _draft("oncall.override_revoked", found, by))
    return found


async def _is_there(connection: AsyncConnection, one: NewOverride) -> bool:
    table = oncall_overrides
    same = (
        table.c.schedule == one.schedule,
        table.c.source == one.source,
        table.c.contact == one.contact,
        table.c.starts_at == one.starts_at,
        table.c.ends_at == one.ends_at,
        table.c.revoked_at.is_(None),
    )
    return (await connection.execute(select(table.c.id).where(*same))).first() is not None


def _override(asked: NewOverride, override_id: UUID, by: str) -> Override:
    return Override(
        id=override_id,
        schedule=asked.schedule,
        contact=asked.contact,
        replaces=asked.replaces,
        starts_at=asked.starts_at,
        ends_at=asked.ends_at,
        reason=asked.reason,
        source=asked.source,
        created_by=by,
    )


def _of(row: Row[Any]) -> Override:
    return Override(**{name: getattr(row, name) for name in Override.__dataclass_fields__})


def _draft(action: str, override: Override, by: str) -> AuditDraft:
    data = {
        "override_id": str(override.id),
        "contact": override.contact,
        "replaces": override.replaces,
        "starts_at": override.starts_at.isoformat(),
        "ends_at": override.ends_at.isoformat(),
        "reason": override.reason,
        "source": override.source,
    }
    return AuditDraft(action=action, actor=by, subject=f"oncall/{override.schedule}", data=data)
