"""Toil that people write down: kept in the state store, each entry with one in the audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select

from dbre.capabilities.report.span import Span
from dbre.capabilities.report.tables import toil_entry
from dbre.capabilities.report.toil import Actor, Toil, Trigger
from dbre.core.audit.log import AuditLog
from dbre.core.audit.model import AuditDraft
from dbre.core.clock import Clock
from dbre.core.errors import UsageError
from dbre.core.ids import uuid7
from dbre.core.store import Store
from dbre.core.units import format_duration

__all__ = ["ToilDraft", "log_toil", "read_toil"]

_LONGEST = timedelta(days=1)
_MOST_TASK = 100
_MOST_TEXT = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ToilDraft:
    """What somebody did."""

    task: str
    person: str
    started_at: datetime
    active: timedelta
    is_interruptive: bool = False
    target: str = ""
    note: str = ""

    def check(self, now: datetime) -> None:
        """Raises: UsageError for what cannot be."""
        if not self.task.strip() or len(self.task) > _MOST_TASK:
            raise UsageError("a task has 1 to 100 characters", hint="use the same few words each time: restore test, add user")
        if max(len(self.note), len(self.target), len(self.person)) > _MOST_TEXT:
            raise UsageError(f"person, target and note have at most {_MOST_TEXT} characters each", hint="say it shorter")
        if not timedelta() < self.active <= _LONGEST:
            raise UsageError(
                f"{format_duration(self.active.total_seconds())} of one piece of work; the limit is 24 h", hint="log each day"
            )
        if self.started_at + self.active > now + timedelta(minutes=1):
            raise UsageError("the work ends in the future", hint="--started says when it began; by default it ends now")


async def log_toil(store: Store, clock: Clock, draft: ToilDraft, *, recorded_by: str) -> Toil:
    """Write one entry down. Raises: UsageError; a StoreError."""
    now = clock.now()
    draft.check(now)
    entry_id = uuid7(clock)
    row = {
        "id": entry_id,
        "task": draft.task.strip(),
        "person": draft.person,
        "started_at": draft.started_at,
        "active_seconds": round(draft.active.total_seconds()),
        "is_interruptive": draft.is_interruptive,
        "target": draft.target,
        "note": draft.note,
    }
    data = {"task": row["task"], "active_seconds": row["active_seconds"], "started_at": draft.started_at.isoformat()}
    entry = AuditDraft(action="toil.logged", actor=recorded_by, subject=f"toil/{entry_id}", data=data)
    async with store.begin() as connection:
        await connection.execute(insert(toil_entry).values(**row, recorded_by=recorded_by, recorded_at=now))
        await AuditLog(clock).record(connection, entry)
    return _toil(str(entry_id), draft)


async def read_toil(store: Store, span: Span) -> Sequence[Toil]:
    """The entries of work that began in a span, the oldest first."""
    row = toil_entry.c
    statement = select(toil_entry).where(row.started_at >= span.since, row.started_at < span.until)
    async with store.read() as connection:
        found = (await connection.execute(statement.order_by(row.started_at, row.id))).all()
    return [
        _toil(
            str(one.id),
            ToilDraft(
                task=one.task,
                person=one.person,
                started_at=one.started_at,
                active=timedelta(seconds=one.active_seconds),
                is_interruptive=one.is_interruptive,
                target=one.target,
                note=one.note,
            ),
        )
        for one in found
    ]


def _toil(entry_id: str, draft: ToilDraft) -> Toil:
    return Toil(
        id=entry_id,
        task=draft.task.strip(),
        actor=Actor.HUMAN,
        person=draft.person,
        started_at=draft.started_at,
        active_seconds=draft.active.total_seconds(),
        is_interruptive=draft.is_interruptive,
        target=draft.target,
        trigger=Trigger.LOGGED,
        note=draft.note,
    )
