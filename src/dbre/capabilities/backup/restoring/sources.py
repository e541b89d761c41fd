"""What a restore needs of a vault."""

from pathlib import Path
from typing import Protocol

from dbre.capabilities.backup.log.places import LogVault
from dbre.ports.backup.engine import CopyProgress

__all__ = ["SourceVault"]


class SourceVault(LogVault, Protocol):
    """The part of ``vault.vault.Vault`` that restores need."""

    async def fetch_set(self, set_id: str, into: Path, progress: CopyProgress) -> None:
        """Put the files of a set below an empty directory. Raises: CopyDamaged for any object that is not what was stored."""
        ...
