"""What every part of an opened vault works with: its home, its contents, and the rules of what is put there. It blocks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dbre.capabilities.backup.vault.contents import Contents, Stowed
from dbre.capabilities.backup.vault.errors import NoIdentity, NotInVault
from dbre.capabilities.backup.vault.home import VaultHome
from dbre.capabilities.backup.vault.state import VaultState, objects_of
from dbre.core.text import quoted

__all__ = ["PART_BYTES", "Inside", "LockUntil", "bytes_of", "has_set"]

PART_BYTES = 256 << 20
"""Of the tar stream that go into one object: a fetch keeps a few of them on this machine's disk at a time."""

LockUntil = Callable[[str, datetime], datetime | None]
"""Until when what is put away at that moment for that cluster is locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """One opened vault. Threads may use it at once."""

    home: VaultHome
    contents: Contents
    lock_until: LockUntil
    part_bytes: int = PART_BYTES

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.home.document.name

    def binding(self, system_id: str, **what: object) -> dict[str, object]:
        """What an object is bound to."""
        return {"vault": self.home.vault_id, "system": system_id, **what}

    def find_set(self, set_id: str) -> tuple[str, dict[str, Any]]:
        """A set that is there, and its server. Raises: NotInVault."""
        for system_id, state in self.home.states().items():
            if has_set(state, set_id):
                return system_id, state.sets[set_id]
        raise NotInVault(f"vault {self.name} has no set {quoted(set_id, limit=60)}", hint=f"dbre vault show {self.name}")

    def find_log(self, system_id: str, name: str) -> dict[str, Any] | None:
        """A log file that is there; None where the index says for certain that it is not."""
        found = self.home.state_of(system_id).logs.get(name)
        return None if found is None or found["is_deleted"] else found

    def need_identity(self) -> None:
        """Raises: NoIdentity."""
        if self.home.document.identity is None:
            raise NoIdentity(
                f"vault {self.name} has no identity here: this machine writes it and cannot read it",
                hint="give vaults.identity the reference of an age identity of one of its recipients",
            )

    def is_there(self, stowed: Stowed) -> bool:
        """Whether an object lies where it was put, as far as its size tells."""
        found = self.home.storage.look(stowed.key, version_id=stowed.version_id)
        return found is not None and found.size == stowed.size


def has_set(state: VaultState, set_id: str) -> bool:
    """Whether the index promises a set."""
    return set_id in state.sets and not state.sets[set_id]["is_deleted"]


def bytes_of(value: Mapping[str, Any]) -> int:
    """All objects of a set or of a log file, as they are stored."""
    return sum(int(one["size"]) for one in objects_of(value))
