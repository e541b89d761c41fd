"""Facet ``canary``: a chain of rows that a server acknowledges one by one (opt-in: it writes)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from dbre.ports.backup.model import LogPosition

__all__ = ["CanaryPort", "CanaryRow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRow:
    """One row: ``hash`` is SHA-256 over the previous hash, the sequence, the time in microseconds and the nonce."""

    sequence: int
    at: datetime  # of the server's clock
    nonce: str  # hexadecimal
    previous: str  # hexadecimal; 64 zeros for the first
    hash: str  # hexadecimal

    def text(self) -> bytes:
        """What ``hash`` is the SHA-256 of."""
        microseconds = round(self.at.timestamp() * 1_000_000)
        return f"{self.previous}|{self.sequence}|{microseconds}|{self.nonce}".encode()


class CanaryPort(Protocol):
    """A chain of rows, each naming the one before it."""

    async def prepare(self) -> None:
        """Make the table ``dbre.canary`` where it is missing (Redis: nothing to make)."""
        ...

    async def write(self) -> tuple[CanaryRow, LogPosition | None]:
        """Append one row durably; returns after the acknowledgement, with where the log ended then."""
        ...

    async def newest(self, count: int) -> tuple[CanaryRow, ...]:
        """The newest rows, the newest first; none where there is no chain."""
        ...

    async def prune(self, older_than: timedelta) -> int:
        """Delete old rows; how many went."""
        ...
