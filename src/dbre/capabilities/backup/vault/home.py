"""What a vault is beside its contents: who it is, whom it trusts, and the index of each server in it. It blocks."""

import json
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.vault import keys
from dbre.capabilities.backup.vault.contents import Stowed
from dbre.capabilities.backup.vault.errors import IndexBroken, KeyTaken, ObjectMissing, VaultMisconfigured
from dbre.capabilities.backup.vault.heads import HeadMemory
from dbre.capabilities.backup.vault.index import Decision, SystemIndex
from dbre.capabilities.backup.vault.readme import readme_text
from dbre.capabilities.backup.vault.records import when
from dbre.capabilities.backup.vault.state import VaultState
from dbre.capabilities.backup.vault.storage import Storage
from dbre.core.audit.errors import SigningKeyInvalid
from dbre.core.audit.signed_note import SigningKey, VerifierKey
from dbre.core.clock import Clock
from dbre.core.text import printable

__all__ = ["VaultHome"]

_FORMAT = "dbre-vault/1"
_LARGEST = 65_536


class VaultHome:
    """One place, opened. Threads may use it at once: a lock keeps them apart where state is read or appended to."""

    def __init__(
        self,
        storage: Storage,
        document: VaultDocument,
        *,
        key: SigningKey | None,
        signers: Sequence[VerifierKey],
        directory: Path,
        clock: Clock,
    ) -> None:
        self.storage = storage
        self.document = document
        self.key = key
        self.directory = directory
        self.clock = clock
        self.memory = HeadMemory(directory / "heads")
        self._signers = tuple(signers)
        self._indexes: dict[str, SystemIndex] = {}
        self._lock = threading.RLock()
        self._about: dict[str, str] | None = None

    @property
    def vault_id(self) -> str:
        """What it calls itself: bound to every object and entry. Raises: ObjectMissing where nothing was ever put there."""
        return self._described()["id"]

    @property
    def trust(self) -> str:
        """Whose signatures count: ``configured``, ``own key``, or ``first use`` (the key that the vault itself names)."""
        return "configured" if self._signers else "own key" if self.key is not None else "first use"

    def trusted(self) -> tuple[VerifierKey, ...]:
        """Public keys whose entries count."""
        own = () if self.key is None else (self.key.verifier,)
        if self._signers or own:
            return (*own, *self._signers)
        try:
            return (VerifierKey.parse(self._described()["signer"]),)
        except SigningKeyInvalid as error:
            raise IndexBroken(f"{keys.VAULT} of vault {self.document.name} names no usable key: {error.message}") from error

    def state_of(self, system_id: str, *, create: bool = False) -> VaultState:
        """The newest state of one server's index. Raises: IndexBroken."""
        with self._lock:
            if create:
                self._establish()
            index = self._index(system_id)
            return VaultState() if index is None else index.refresh()

    def systems(self) -> tuple[str, ...]:
        """Servers that are or were in the vault, as far as this machine knows."""
        found = {keys.system_of(one) for one in self.storage.folders(keys.ROOT)}
        return tuple(sorted(found | self.memory.known_systems()))

    def reread(self, system_id: str) -> VaultState:
        """The state once more from the first entry on, every signature and link checked again. Raises: IndexBroken."""
        with self._lock:
            self._about = None
            fresh = self._made(system_id, whole=True)
            return VaultState() if fresh is None else fresh.refresh()

    def states(self) -> dict[str, VaultState]:
        """Likewise, of all servers. Raises: IndexBroken also where one that was there is gone as a whole."""
        with self._lock:
            return {one: self.state_of(one) for one in self.systems()}

    def append(self, system_id: str, decide: Decision) -> VaultState:
        """Append an entry. Raises: VaultMisconfigured, IndexBroken."""
        with self._lock:
            self._establish()
            index = self._index(system_id)
            if index is None:
                raise IndexBroken(f"vault {self.document.name} was removed while it was written")
            return index.append(self.key, decide)

    def require(self, stowed: Stowed) -> None:
        """See that an object is there. Raises: ObjectMissing."""
        found = self.storage.look(stowed.key, version_id=stowed.version_id)
        if found is None or found.size != stowed.size:
            raise ObjectMissing(f"{printable(stowed.key)} is no longer in vault {self.document.name}")

    def _index(self, system_id: str) -> SystemIndex | None:
        found = self._indexes.get(system_id)
        if found is None:
            found = self._made(system_id, whole=False)
            if found is not None:
                self._indexes[system_id] = found
        return found

    def _made(self, system_id: str, *, whole: bool) -> SystemIndex | None:
        try:
            vault_id, trusted = self.vault_id, self.trusted()
        except ObjectMissing as error:
            seen = self.memory.recall(system_id)
            if seen is None:
                return None
            raise IndexBroken(
                f"{keys.VAULT} is not in vault {self.document.name}, of which this machine saw {seen.number} entries",
                hint="it was emptied, or is not what is mounted there; to begin it anew, remove "
                + printable(str(self.memory.path_of(system_id))),
            ) from error
        return SystemIndex(
            self.storage,
            vault_id=vault_id,
            system_id=system_id,
            trusted=trusted,
            memory=self.memory,
            clock=self.clock,
            whole=whole,
        )

    def _described(self) -> dict[str, str]:
        if self._about is None:
            data = self.storage.read(keys.VAULT, limit=_LARGEST)
            try:
                value = json.loads(data)
                self._about = {name: str(value[name]) for name in ("format", "id", "signer")}
            except (ValueError, KeyError, TypeError) as error:
                raise IndexBroken(f"{keys.VAULT} of vault {self.document.name} is no description of a vault") from error
            if self._about["format"] != _FORMAT:
                raise IndexBroken(f"vault {self.document.name} has format {printable(self._about['format'])}, not {_FORMAT}")
        return self._about

    def _establish(self) -> None:
        """Write what the vault is, where nobody did yet."""
        if self._about is not None:
            return
        try:
            self._described()
        except ObjectMissing:
            self._found()
            self._described()

    def _found(self) -> None:
        if self.key is None:
            raise VaultMisconfigured(
                "this machine has no key that signs what it puts into the vault", hint="`dbre audit key` shows or makes it"
            )
        about = {
            "format": _FORMAT,
            "id": secrets.token_hex(16),
            "signer": str(self.key.verifier),
            "created_at": when(self.clock.now()),
            "recipients": list(self.document.recipients),
        }
        for key, data in (
            (keys.README, readme_text().encode()),
            (keys.VAULT, (json.dumps(about, indent=2) + "\n").encode()),
        ):
            try:
                self.storage.put_bytes(key, data, retain_until=None)
            except KeyTaken:  # another writer was faster: his counts
                continue
