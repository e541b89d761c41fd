"""How far the rows of a server have come: told apart from its log, which grows where no row changes."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from dbre.ports.engine import Access

__all__ = ["HorizonEngine", "WriteHorizon"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteHorizon:
    """Which transactions the rows of a server hold: two quiet servers of one history with the same ``next`` have the same."""

    next: int  # the number of the first transaction that is in none of its rows; grows with every one that writes
    is_quiet: bool  # every one before it has ended


@runtime_checkable
class HorizonEngine(Protocol):
    """An engine that numbers transactions, with the same numbers on a primary, its replicas and what is restored of them."""

    async def write_horizon(self, access: Access) -> WriteHorizon:
        """How far the rows of a server have come. Raises: Unreachable, Denied."""
        ...
