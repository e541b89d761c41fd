"""For whom sets were encrypted, compared with whom the configuration names today. Pure.

A key that was added opens what is stored from then on, and nothing before; one that was taken away still opens what it did.
"""

from collections.abc import Iterable, Sequence

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.model import BackupSet

__all__ = ["former_recipients", "shut_out", "why_shut_out"]


def shut_out(one: BackupSet, vault: VaultDocument) -> tuple[str, ...]:
    """Recipients of today who cannot open a set as it lies in a vault; empty where nobody noted who can."""
    known = _known(one, vault.name)
    return () if known is None else tuple(name for name in vault.recipients if name not in known)


def former_recipients(one: BackupSet, vault: VaultDocument) -> tuple[str, ...]:
    """Who can open a set in a vault and is named there no more."""
    return tuple(name for name in _known(one, vault.name) or () if name not in vault.recipients)


def why_shut_out(chain: Iterable[BackupSet], vaults: Sequence[VaultDocument], names: Sequence[str]) -> str | None:
    """Why nothing should stand on a chain because somebody of today cannot open it; ``names`` are the policy's vaults.

    An increment is worth nothing to who cannot open the full set under it.
    """
    for one in chain:
        for vault in vaults:
            if vault.name in names and vault.name in one.vaults and (absent := shut_out(one, vault)):
                return (
                    f"recipient {absent[0]} of vault {vault.name} cannot open set {one.id}: it was stored before it was named"
                )
    return None


def _known(one: BackupSet, vault: str) -> Sequence[str] | None:
    found = one.details.get("recipients", {})
    return found.get(vault) if isinstance(found, dict) else None
