"""What copies of the state store are called, and what lies in one."""

import hashlib

from dbre.capabilities.backup.model import BackupSet, Catalog, SetState
from dbre.core.store.address import StoreAddress
from dbre.ports.backup.model import CopyKind

__all__ = ["CLUSTER", "ENGINE_OF_FILES", "STATE_FILE", "newest_first", "system_of"]

CLUSTER = "dbre-state"
"""Under this name a vault lists them; no cluster of an inventory can be meant by it."""
STATE_FILE = "dbre.db"
ENGINE_OF_FILES = "sqlite"
_KINDS = frozenset({CopyKind.SNAPSHOT, CopyKind.LOGICAL})


def system_of(address: StoreAddress) -> str:
    """What names one store among those that share a vault; the same as long as it stays where it is.

    >>> from pathlib import Path
    >>> from dbre.core.store.address import SqliteAddress
    >>> system_of(SqliteAddress(path=Path("/var/lib/dbre/dbre.db")))[:11]
    'dbre-state-'
    """
    return f"dbre-state-{hashlib.sha256(str(address).encode()).hexdigest()[:16]}"


def newest_first(catalog: Catalog, *, system_id: str | None = None) -> list[BackupSet]:
    """The whole copies of a vault, or of one store in it."""
    found = [
        one
        for one in catalog.sets
        if one.cluster == CLUSTER and one.kind in _KINDS and one.state is SetState.SEALED and system_id in (None, one.system_id)
    ]
    return sorted(found, key=lambda one: (one.started_at, one.id), reverse=True)
