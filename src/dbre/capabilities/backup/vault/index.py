"""The index of one server in a vault: a chain of signed entries that many may append to and nobody can change unnoticed."""

import hashlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zstandard import ZstdError

from dbre.capabilities.backup.vault.entries import LARGEST_ENTRY, Entry, read_entry, write_entry
from dbre.capabilities.backup.vault.errors import IndexBroken, KeyTaken, ObjectDamaged, ObjectMissing, VaultMisconfigured
from dbre.capabilities.backup.vault.heads import Head, HeadMemory
from dbre.capabilities.backup.vault.keys import entry_key
from dbre.capabilities.backup.vault.records import moment
from dbre.capabilities.backup.vault.snapshots import is_due, read_snapshot, snapshot_keys, write_snapshot
from dbre.capabilities.backup.vault.state import VaultState, apply
from dbre.capabilities.backup.vault.storage import Storage
from dbre.core.audit.signed_note import SigningKey, VerifierKey
from dbre.core.clock import Clock
from dbre.core.text import printable, quoted

__all__ = ["Change", "Decision", "SystemIndex"]

Change = tuple[str, Mapping[str, Any]]
"""Kind and data of an entry."""

Decision = Callable[[VaultState], Change | None]
"""Looks at the newest state and says what is to be appended; None: nothing. Asked again where another writer was faster."""

_TRIES = 200
_LONGEST_WAIT_SECONDS = 0.5


class SystemIndex:
    """Reads and appends. It blocks: used in threads, one at a time."""

    def __init__(
        self,
        storage: Storage,
        *,
        vault_id: str,
        system_id: str,
        trusted: Sequence[VerifierKey],
        memory: HeadMemory,
        clock: Clock,
        whole: bool = False,
    ) -> None:
        self._storage = storage
        self._vault_id = vault_id
        self._system_id = system_id
        self._trusted = tuple(trusted)
        self._memory = memory
        self._clock = clock
        self._is_whole = whole  # every entry from the first on is read, whatever snapshots there are
        self.state = VaultState()

    def refresh(self) -> VaultState:
        """Read what was appended since. Raises: IndexBroken."""
        seen = self._memory.recall(self._system_id)
        begun_at = self.state.number
        if not begun_at and not self._is_whole:
            self._start_late(seen)
        while True:
            try:
                raw = self._storage.read(entry_key(self._system_id, self.state.number + 1), limit=LARGEST_ENTRY)
            except ObjectMissing:
                break
            self._take(raw, seen)
        self._compare(seen)
        if self.state.number > begun_at or (seen is None and self.state.number):
            self._memory.remember(self._system_id, Head(self._vault_id, self.state.number, self.state.head))
        return self.state

    def append(self, key: SigningKey | None, decide: Decision) -> VaultState:
        """Append what ``decide`` wants, after what others appended meanwhile. Raises: VaultMisconfigured, IndexBroken."""
        if key is None:
            raise VaultMisconfigured(
                "this machine has no key that signs what it puts into the vault", hint="`dbre audit key` shows or makes it"
            )
        if key.verifier not in self._trusted:
            raise VaultMisconfigured(
                f"the vault's signers do not name this machine's key {key.name}", hint=f"add {key.verifier} to its signers"
            )
        for attempt in range(_TRIES):
            state = self.refresh()
            change = decide(state)
            if change is None:
                return state
            if self._put(key, change):
                self.refresh()
                return self._shorten(key)
            time.sleep(random.uniform(0, min(0.01 * 2 ** min(attempt, 8), _LONGEST_WAIT_SECONDS)))  # noqa: S311 -- jitter
        raise IndexBroken(
            f"no entry could be appended to the index of {printable(self._system_id)}: in {_TRIES} tries others were faster",
            hint="see who else writes the vault",
        )

    def _shorten(self, key: SigningKey) -> VaultState:
        """Write a snapshot where one is due; another writer who is faster makes it a waste, nothing else."""
        if is_due(self.state) and self._put(key, ("snapshot", write_snapshot(self._storage, self._system_id, self.state))):
            return self.refresh()
        return self.state

    def _start_late(self, seen: Head | None) -> None:
        """Begin at the newest snapshot that a signed entry names; one that is damaged is passed over."""
        for number, snapshot in snapshot_keys(self._storage, self._system_id):
            try:
                raw = self._storage.read(entry_key(self._system_id, number), limit=LARGEST_ENTRY)
                entry = read_entry(raw, where=f"entry {number}", trusted=self._trusted)
                found = read_snapshot(self._storage, entry, snapshot)
            except (ObjectMissing, IndexBroken, ObjectDamaged, ValueError, KeyError, ZstdError):
                continue
            if found is not None and (entry.vault, entry.system, entry.number) == (self._vault_id, self._system_id, number):
                self._check_seen(seen, number)
                self.state = found
                return

    def _check_seen(self, seen: Head | None, number: int) -> None:
        """An entry that this machine saw, and that is now skipped, must still be the same."""
        if seen is None or seen.vault != self._vault_id or seen.number > number:
            return
        where = f"entry {seen.number} ({quoted(self._system_id, limit=100)})"
        try:
            raw = self._storage.read(entry_key(self._system_id, seen.number), limit=LARGEST_ENTRY)
        except ObjectMissing as error:
            raise IndexBroken(f"{where} of the index is gone", hint="dbre vault verify tells which sets are whole") from error
        if hashlib.sha256(raw).hexdigest() != seen.sha256:
            raise _forked(where)

    def _put(self, key: SigningKey, change: Change) -> bool:
        kind, data = change
        raw = write_entry(
            key,
            vault=self._vault_id,
            system=self._system_id,
            number=self.state.number + 1,
            previous=self.state.head,
            at=self._clock.now(),
            kind=kind,
            data=data,
        )
        place = entry_key(self._system_id, self.state.number + 1)
        try:
            self._storage.put_bytes(place, raw, retain_until=moment(data.get("lock_until")))  # as long as what it names
        except KeyTaken:  # another writer's, or ours of a request whose answer was lost
            try:
                return self._storage.read(place, limit=LARGEST_ENTRY) == raw
            except ObjectMissing:  # another's put of it did not end yet
                return False
        return True

    def _take(self, raw: bytes, seen: Head | None) -> None:
        number = self.state.number + 1
        where = f"entry {number} ({quoted(self._system_id, limit=100)})"
        entry = read_entry(raw, where=where, trusted=self._trusted)
        expected = (self._vault_id, self._system_id, number, self.state.head)
        if (entry.vault, entry.system, entry.number, entry.previous) != expected:
            raise IndexBroken(f"{where} of the index {_misfit(entry, expected)}", hint="another vault's, or an older, entry")
        if seen is not None and seen.vault == self._vault_id and seen.number == number and seen.sha256 != entry.sha256:
            raise _forked(where)
        try:
            apply(self.state, entry)
        except (KeyError, TypeError, AttributeError) as error:
            raise IndexBroken(f"{where} of the index says what this version does not understand: {error}") from error

    def _compare(self, seen: Head | None) -> None:
        if seen is None or (seen.vault == self._vault_id and seen.number <= self.state.number):
            return
        path = self._memory.path_of(self._system_id)
        was = "is another vault than" if seen.vault != self._vault_id else f"ends at entry {self.state.number} of"
        raise IndexBroken(
            f"the index of {quoted(self._system_id, limit=100)} {was} the one that this machine saw with {seen.number} entries",
            hint=f"it was rolled back or cut off; where that was meant, remove {printable(str(path))}",
        )


def _forked(where: str) -> IndexBroken:
    return IndexBroken(
        f"{where} of the index is not the one that this machine saw before: the index was forked",
        hint="keep both; dbre vault verify tells which sets are whole",
    )


def _misfit(entry: Entry, expected: tuple[str, str, int, str]) -> str:
    vault, system, number, _ = expected
    if entry.vault != vault:
        return "is of another vault"
    if entry.system != system:
        return f"is of server {quoted(entry.system, limit=100)}"
    return f"says it is entry {entry.number}" if entry.number != number else "does not follow on the one before it"
