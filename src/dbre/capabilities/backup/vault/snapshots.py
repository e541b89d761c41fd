"""What an index came to, written down now and then, so that nobody has to read years of entries to know the state of today.

The snapshot itself is not signed: an entry of the index is, and names its SHA-256. What has no such entry is not looked at.
"""

import contextlib
import hashlib
import json
from typing import Any

import zstandard

from dbre.capabilities.backup.vault import keys
from dbre.capabilities.backup.vault.entries import Entry
from dbre.capabilities.backup.vault.errors import KeyTaken
from dbre.capabilities.backup.vault.records import moment
from dbre.capabilities.backup.vault.state import VaultState
from dbre.capabilities.backup.vault.storage import Storage

__all__ = ["LARGEST_SNAPSHOT", "is_due", "read_snapshot", "snapshot_keys", "write_snapshot"]

LARGEST_SNAPSHOT = 1 << 30
_SHORTEST = 256
"""Entries between two snapshots, at least."""


def is_due(state: VaultState) -> bool:
    """Whether so much was appended since the last one that reading it costs more than writing a new one."""
    return state.number - state.snapshot_at >= max(_SHORTEST, (len(state.sets) + len(state.logs)) // 2)


def write_snapshot(storage: Storage, system_id: str, state: VaultState) -> dict[str, Any]:
    """Put a snapshot of the state there; gives the data of the entry that is to name it, the next one."""
    plain = json.dumps(state.as_value(), separators=(",", ":")).encode()
    packed = zstandard.ZstdCompressor(level=3).compress(plain)
    sha256 = hashlib.sha256(packed).hexdigest()
    key = keys.snapshot_key(system_id, state.number + 1, sha256)
    locks = [one["lock_until"] for one in (*state.sets.values(), *state.logs.values()) if not one["is_deleted"]]
    lock_until = max((one for one in locks if one is not None), default=None)  # RFC 3339 of UTC: in order to the second
    with contextlib.suppress(KeyTaken):  # the same state, put by another writer, or before a crash: the key holds its SHA-256
        storage.put_bytes(key, packed, retain_until=moment(lock_until))
    return {"key": key, "sha256": sha256, "size": len(packed), "plain_size": len(plain), "lock_until": lock_until}


def snapshot_keys(storage: Storage, system_id: str) -> list[tuple[int, str]]:
    """Numbers of the entries that may name snapshots, the newest first, and their keys."""
    found = [one.key for one in storage.walk(f"{keys.system_folder(system_id)}snapshots/")]
    numbered = [(keys.snapshot_number(key), key) for key in found]
    return sorted(((number, key) for number, key in numbered if number is not None), reverse=True)


def read_snapshot(storage: Storage, entry: Entry, key: str) -> VaultState | None:
    """The state before an entry that names this snapshot; None where it names another one, or the snapshot is not that."""
    data = entry.data
    if entry.kind != "snapshot" or data.get("key") != key or not 0 <= int(data["plain_size"]) <= LARGEST_SNAPSHOT:
        return None
    packed = storage.read(key, limit=int(data["size"]))
    if hashlib.sha256(packed).hexdigest() != data["sha256"]:
        return None
    plain = zstandard.ZstdDecompressor().decompress(packed, max_output_size=int(data["plain_size"]))
    value = json.loads(plain)
    return VaultState(
        number=entry.number,
        head=entry.sha256,
        at=entry.at,
        snapshot_at=entry.number,
        sets=value["sets"],
        logs=value["logs"],
        switches=value["switches"],
    )
