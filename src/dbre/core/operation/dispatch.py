"""Carrying an operation's id to somebody who can run it. The operation itself never travels: it is claimed in the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

__all__ = ["Carrier", "Dispatcher", "Due", "Runs"]


class Runs(Protocol):
    """Who claims and walks an operation; ``OperationRunner`` does."""

    async def drive(self, operation_id: UUID) -> bool:
        """Walk it to its end or to a pause; return at once where somebody else has it. Cancelled: stop, undo nothing."""
        ...


class Dispatcher(Protocol):
    """Whom to tell that an operation wants to be run. Telling twice, too late or in vain does no harm."""

    async def dispatch(self, operation_id: UUID, *, zone: str | None, priority: int) -> None:
        """Tell of one operation; returns before it has run. Never raises for a broker that is away: the sweeper tells again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An operation that somebody should run now."""

    operation_id: UUID
    zone: str | None
    priority: int  # 0 to 9, 9 first


class Carrier(Dispatcher, Protocol):
    """A dispatcher that a sweeper fills."""

    @property
    def room(self) -> int:
        """How many operations it takes at the moment; 0 while it is full, or its broker does not answer."""
        ...

    @property
    def serves_every_zone(self) -> bool:
        """Whether it carries operations to all zones (a broker), not only to the one of this process."""
        ...

    async def carry(self, due: Sequence[Due]) -> Sequence[Due]:
        """Take these, in this order; gives back those that could not be carried."""
        ...
