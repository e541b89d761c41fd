"""Leases: an operation belongs to a worker for some seconds of a clock that no administrator can set back."""

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Float, and_, bindparam, cast, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from dbre.core.operation import tables
from dbre.core.operation.errors import LeaseLost
from dbre.core.operation.flags import FLAG_COLUMNS
from dbre.core.store import Store

__all__ = ["HeldLease", "LeaseClock", "boot_seconds"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_row = tables.operation.c


def boot_seconds() -> float:
    """Seconds since the machine was started, those in which it was suspended or this process stopped included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _boot() -> str:
    try:
        return f"boot {_BOOT_ID.read_text().strip()}"
    except OSError:  # not Linux: when it was started, to the minute; a step of the clock costs a takeover, which is safe
        return f"boot {(time.time() - time.monotonic()) // 60:.0f}"


class LeaseClock:
    """The clock that all who share a store agree on.

    PostgreSQL: the server's. SQLite, which only processes of one machine share: the time since that machine was started; a
    lease of an earlier boot is void, because its holder is gone for certain.
    """

    def __init__(self, store: Store, *, here: Callable[[], float] = boot_seconds) -> None:
        self._is_shared = store.dialect == "postgresql"
        self.epoch = "store" if self._is_shared else _boot()
        """Which clock it is; seconds of different epochs cannot be compared."""
        self.here = here
        """This machine's monotonic seconds: by them a worker knows without the store that its lease may have run out."""

    def present(self) -> ColumnElement[float]:
        """The clock's seconds, for use inside a statement."""
        if self._is_shared:
            return cast(func.extract("epoch", func.clock_timestamp()), Float(53))
        return literal(self.here(), Float(53))

    @cached_property
    def opening(self) -> ReturningUpdate[Any]:
        """The statement that renews the lease of an operation that its worker holds, and tells what people want of it."""
        found = tables.operation.c
        mine = (
            found.id == bindparam("the_id"),
            found.state == bindparam("the_state"),
            found.owner == bindparam("the_owner"),
            found.attempt == bindparam("the_attempt"),
        )
        until: ColumnElement[float] = bindparam("the_moment", type_=Float(53))
        if self._is_shared:
            until = self.present() + bindparam("the_seconds", type_=Float(53))
        values = {"lease_until": until, "journal_mark": bindparam("the_mark")}
        return update(tables.operation).where(*mine).values(values).returning(*FLAG_COLUMNS)

    def moment(self, seconds: float) -> dict[str, float]:
        """The parameters of ``opening`` for a lease of so many seconds from now."""
        return {"the_seconds": seconds} if self._is_shared else {"the_moment": self.here() + seconds}

    def is_free(self) -> ColumnElement[bool]:
        """The condition that nobody holds a lease on an operation's row."""
        return or_(
            _row.owner.is_(None), _row.lease_until.is_(None), _row.lease_epoch != self.epoch, _row.lease_until < self.present()
        )

    @cached_property
    def is_free_then(self) -> ColumnElement[bool]:
        """``is_free`` for a statement that is made once: it takes the parameters of ``moment(0)``."""
        present = self.present() + bindparam("the_seconds", type_=Float(53)) if self._is_shared else bindparam("the_moment")
        return or_(_row.owner.is_(None), _row.lease_until.is_(None), _row.lease_epoch != self.epoch, _row.lease_until < present)

    def is_held(self) -> ColumnElement[bool]:
        """The opposite of ``is_free``."""
        return and_(_row.owner.is_not(None), _row.lease_epoch == self.epoch, _row.lease_until >= self.present())

    async def now(self, connection: AsyncConnection) -> float:
        """Seconds of the clock."""
        return float((await connection.execute(select(self.present()))).scalar_one())


class HeldLease:
    """What a worker knows of its own lease without asking anybody."""

    def __init__(self, operation_id: UUID, clock: LeaseClock, *, seconds: float) -> None:
        self._operation_id = operation_id
        self._here = clock.here
        self._until = clock.here() + seconds
        self._lost: str | None = None
        self.seconds = seconds

    @property
    def remaining_seconds(self) -> float:
        """How long it still lives at least; 0 once it is lost."""
        return 0.0 if self._lost else max(0.0, self._until - self._here())

    def asked(self) -> float:
        """The moment before a renewal is sent: the lease lasts from then, whenever the answer comes."""
        return self._here()

    def renewed(self, asked: float) -> None:
        """The store has renewed it; one that had run out meanwhile stays lost, because somebody else may have looked."""
        if self.remaining_seconds > 0:
            self._until = max(self._until, asked + self.seconds)

    def lose(self, why: str) -> None:
        """It is gone for good."""
        self._lost = self._lost or why

    def require(self) -> None:
        """To be called before every effect and every write. Raises: LeaseLost."""
        if not self._lost and self._here() >= self._until:
            self._lost = f"its lease of {self.seconds:g} s ran out before it could be renewed"
        if self._lost:
            raise LeaseLost(self._operation_id, why=self._lost)
