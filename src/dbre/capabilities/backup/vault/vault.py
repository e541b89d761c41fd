"""One vault: sets and log files put away for good, and given back only after every byte was compared."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.model import BackupSet, Catalog, SetState, TimelineSwitch
from dbre.capabilities.backup.vault import keys
from dbre.capabilities.backup.vault.checking import find_faults, objects_of_set
from dbre.capabilities.backup.vault.contents import Contents, Stowed, Unpacking
from dbre.capabilities.backup.vault.errors import NoIdentity, NotInVault, ObjectDamaged, SetConflict, VaultMisconfigured
from dbre.capabilities.backup.vault.expiring import Doomed, Settled, delete, doomed, mark, require_whole, settle
from dbre.capabilities.backup.vault.facts import VaultFacts, facts_of
from dbre.capabilities.backup.vault.flow import Flow, in_thread
from dbre.capabilities.backup.vault.home import VaultHome
from dbre.capabilities.backup.vault.journal import PartJournal
from dbre.capabilities.backup.vault.records import (
    log_value,
    moment,
    set_of,
    set_value,
    stored_log,
    switch_of,
    switch_value,
    when,
)
from dbre.capabilities.backup.vault.state import VaultState, objects_of
from dbre.capabilities.backup.vault.sweeping import Swept, sweep
from dbre.capabilities.backup.vault.tar_stream import TarPlan, plan_tar
from dbre.core.text import quoted
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import LogConflict
from dbre.ports.backup.model import CopyFault, LogFile

__all__ = ["StoredSet", "Vault"]

PART_BYTES = 1 << 30
"""Of the tar stream that go into one object."""

LockUntil = Callable[[str, datetime], datetime | None]
"""Until when what is put away at that moment for that cluster is locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSet:
    """What became of a set that was put away."""

    bytes_stored: int
    lock_until: datetime | None


class Vault:
    """Made by ``open_vault``. Several tasks may use one at a time."""

    def __init__(self, home: VaultHome, contents: Contents, *, lock_until: LockUntil, part_bytes: int = PART_BYTES) -> None:
        self._home = home
        self._contents = contents
        self._lock_until = lock_until
        self._part_bytes = part_bytes

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self._home.document.name

    @property
    def document(self) -> VaultDocument:
        """What the configuration says of it."""
        return self._home.document

    @property
    def can_read(self) -> bool:
        """Whether this machine has an identity for it."""
        return self.document.identity is not None

    # --- sets

    async def put_set(self, record: BackupSet, directory: Path, progress: CopyProgress | None = None) -> StoredSet:
        """Put a copied and verified set away; it is in the vault as a whole or not at all. The same again is nothing.

        After a crash the same call goes on with the parts that are there already.

        Raises: SetUnstorable, SetConflict, Unreachable, Denied, VaultUnusable, VaultMisconfigured.
        """
        plan = await asyncio.to_thread(plan_tar, directory)
        flow = Flow(bytes_per_second=self.document.bytes_per_second, progress=progress, total=plan.size)
        return await in_thread(flow, lambda: self._put_set(record, plan, flow))

    def _put_set(self, record: BackupSet, plan: TarPlan, flow: Flow) -> StoredSet:
        state = self._home.state_of(record.system_id, create=True)
        found = state.sets.get(record.id)
        if found is None or found["is_deleted"]:
            lock_until = self._lock_until(record.cluster, record.stopped_at or record.started_at)
            data = self._stow_set(record, plan, flow, lock_until)
            state = self._home.append(record.system_id, lambda now: None if _has(now, record.id) else ("set", data))
            found = state.sets[record.id]
        if found["record"]["manifest_sha256"] != record.manifest_sha256 or found["files"] != plan.files:
            raise SetConflict(
                f"vault {self.name} has another set with the id {record.id}", hint="take a new copy: ids are made once"
            )
        PartJournal(self._home.directory, record.id).forget()
        flow.tell()
        return StoredSet(bytes_stored=_size(found), lock_until=moment(found["lock_until"]))

    def _stow_set(self, record: BackupSet, plan: TarPlan, flow: Flow, lock_until: datetime | None) -> dict[str, Any]:
        journal = PartJournal(self._home.directory, record.id)
        parts: list[Stowed] = []
        for number, start in enumerate(range(0, plan.size, self._part_bytes)):
            done = journal.part(number)
            if done is None or not self._is_there(done) or not _is_same(plan, start, self._part_bytes, done, flow):
                done = self._stow_part(record, plan, number, flow, lock_until)
                journal.note(number, done)
            parts.append(done)
        manifest = self._stow_manifest(record, plan, flow, lock_until)
        for one in parts:  # some may have been sent days ago, before a crash
            self._home.require(one)
        return {
            "record": set_value(record),
            "cluster": record.cluster,
            "parts": [one.as_value() for one in parts],
            "manifest": manifest,
            "files": plan.files,
            "bytes": plan.bytes,
            "lock_until": when(lock_until),
        }

    def _stow_part(self, record: BackupSet, plan: TarPlan, number: int, flow: Flow, lock_until: datetime | None) -> Stowed:
        start = number * self._part_bytes
        return self._contents.stow(
            _Counted(plan.open(start, start + self._part_bytes), flow),
            binding=self._binding(record.system_id, set=record.id, part=number),
            key_of=lambda sha256: keys.part_key(record.system_id, record.id, number, sha256),
            retain_until=lock_until,
            flow=flow,
        )

    def _stow_manifest(
        self, record: BackupSet, plan: TarPlan, flow: Flow, lock_until: datetime | None
    ) -> dict[str, Any] | None:
        path = _manifest_in(plan, record.manifest_sha256)
        if path is None:
            return None
        with path.open("rb") as file:
            return self._contents.stow(
                file,
                binding=self._binding(record.system_id, set=record.id, part="manifest"),
                key_of=lambda sha256: keys.manifest_key(record.system_id, record.id, sha256),
                retain_until=lock_until,
                flow=flow,
            ).as_value()

    async def fetch_set(self, set_id: str, into: Path, progress: CopyProgress | None = None) -> None:
        """Unpack a set into a directory that is new or empty; every object is compared with the signed index before.

        Raises: NotInVault, NoIdentity, WrongIdentity, ObjectMissing, ObjectDamaged; then what is in ``into`` is worthless.
        """
        flow = Flow(bytes_per_second=self.document.bytes_per_second, progress=progress)
        await in_thread(flow, lambda: self._fetch_set(set_id, into, flow))

    def _fetch_set(self, set_id: str, into: Path, flow: Flow) -> None:
        system_id, found = self._find_set(set_id)
        self._need_identity()
        flow.total = sum(one["plain_size"] for one in found["parts"])
        _make_empty(into)
        unpacking = Unpacking(into, flow)
        try:
            for number, value in enumerate(found["parts"]):
                binding = self._binding(system_id, set=set_id, part=number)
                self._contents.open(Stowed.of(value), unpacking.feed, binding=binding, flow=flow)
            unpacking.finish()
        except BaseException:
            unpacking.abandon()
            raise
        if (unpacking.files, unpacking.bytes) != (found["files"], found["bytes"]):
            raise ObjectDamaged(
                f"set {set_id} of vault {self.name} unpacks to {unpacking.files} files of {unpacking.bytes} bytes,"
                f" the index says {found['files']} of {found['bytes']}"
            )
        flow.tell()

    async def fetch_manifest(self, set_id: str, into: Path) -> None:
        """Put the manifest of a set at ``into``, a new file. Raises: NotInVault and the like."""
        flow = Flow()
        await in_thread(flow, lambda: self._fetch_manifest(set_id, into, flow))

    def _fetch_manifest(self, set_id: str, into: Path, flow: Flow) -> None:
        system_id, found = self._find_set(set_id)
        if found["manifest"] is None:
            raise NotInVault(f"set {set_id} of vault {self.name} was stored without a manifest of its own")
        self._need_identity()
        self._fetch_file(Stowed.of(found["manifest"]), into, self._binding(system_id, set=set_id, part="manifest"), flow)

    # --- log

    async def put_log(
        self,
        cluster: str,
        system_id: str,
        file: LogFile,
        path: Path,
        *,
        last_commit_at: datetime | None = None,
        switches: Sequence[TimelineSwitch] = (),
    ) -> None:
        """Put a log file away. The same name with the same contents is nothing; ``switches`` is what a history file says.

        Raises: LogConflict for other contents under the same name.
        """
        flow = Flow(bytes_per_second=self.document.bytes_per_second)
        data = {
            "cluster": cluster,
            "file": log_value(file),
            "last_commit_at": when(last_commit_at),
            "switches": [switch_value(one) for one in switches],
        }
        await in_thread(flow, lambda: self._put_log(cluster, system_id, file, path, data, flow))

    def _put_log(self, cluster: str, system_id: str, file: LogFile, path: Path, data: Mapping[str, Any], flow: Flow) -> None:
        if self._has_log(self._home.state_of(system_id, create=True), file):
            return
        lock_until = self._lock_until(cluster, self._home.clock.now())
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as source:
            stowed = self._contents.stow(
                source,
                binding=self._binding(system_id, log=file.name, timeline=file.timeline),
                key_of=lambda sha256: keys.log_key(system_id, file.timeline, file.name, sha256),
                retain_until=lock_until,
                flow=flow,
            )
        if (stowed.plain_size, stowed.plain_sha256) != (file.size, file.sha256):
            raise LogConflict(
                f"log file {quoted(file.name, limit=100)} is not what its SHA-256 says: it changed while it was put away",
                hint="nothing may write a finished log file",
            )
        whole = {**data, "object": stowed.as_value(), "lock_until": when(lock_until)}
        self._home.append(system_id, lambda now: None if self._has_log(now, file) else ("log", whole))

    def _has_log(self, state: VaultState, file: LogFile) -> bool:
        found = state.logs.get(file.name)
        if found is None or found["is_deleted"]:
            return False
        if found["file"]["sha256"] != file.sha256:
            raise LogConflict(
                f"vault {self.name} has a log file {quoted(file.name, limit=100)} with other contents",
                hint="two servers write one archive, or an old server came back: see which of them is the cluster's",
                context={"stored_sha256": found["file"]["sha256"], "new_sha256": file.sha256},
            )
        return True

    async def fetch_log(self, system_id: str, name: str, into: Path) -> bool:
        """Put a log file at ``into``, a new file; False where the index says for certain that it is not here.

        Raises: ObjectMissing, ObjectDamaged and the like where it should be here.
        """
        flow = Flow(bytes_per_second=self.document.bytes_per_second)
        return await in_thread(flow, lambda: self._fetch_log(system_id, name, into, flow))

    def _fetch_log(self, system_id: str, name: str, into: Path, flow: Flow) -> bool:
        found = self._home.state_of(system_id).logs.get(name)
        if found is None or found["is_deleted"]:
            return False
        self._need_identity()
        binding = self._binding(system_id, log=name, timeline=found["file"]["timeline"])
        self._fetch_file(Stowed.of(found["object"]), into, binding, flow)
        return True

    # --- the catalog

    async def catalog(self, cluster: str | None = None) -> Catalog:
        """What the vault holds of a cluster, or of all; needs no identity and no state store."""
        return await asyncio.to_thread(self._catalog, cluster)

    def _catalog(self, cluster: str | None) -> Catalog:
        sets: list[BackupSet] = []
        logs, switches = [], []
        for system_id, state in self._home.states().items():
            mine = [one for one in state.sets.values() if cluster in (None, one["cluster"])]
            sets += [self._set_of(one) for one in mine]
            found = [one for one in state.logs.values() if cluster in (None, one["cluster"])]
            logs += [stored_log(one, system_id=system_id, vault=self.name, is_gone=one["is_deleted"]) for one in found]
            if mine or found:
                switches += [switch_of(one, system_id) for one in state.switches.values()]
        sets.sort(key=lambda one: (one.started_at, one.id))
        logs.sort(key=lambda one: (one.system_id, one.file.timeline, one.file.start, one.file.name))
        return Catalog(sets=tuple(sets), logs=tuple(logs), switches=tuple(switches))

    def _set_of(self, value: Mapping[str, Any]) -> BackupSet:
        one = set_of(value["record"], vault=self.name, bytes_stored=_size(value), lock_until=moment(value["lock_until"]))
        if value["is_deleted"]:
            return replace(one, state=SetState.DELETED, vaults=())
        return replace(one, state=SetState.TOMBSTONED) if value["tombstone"] else one

    # --- keeping and deleting

    async def hold(self, set_id: str, reason: str | None) -> None:
        """Keep a set whatever the retention says, or no longer (None)."""
        await asyncio.to_thread(self._change_set, set_id, "hold", {"reason": reason})

    async def mark_proven(self, set_id: str, at: datetime) -> None:
        """Note that a drill passed with a set."""
        await asyncio.to_thread(self._change_set, set_id, "proven", {"at": when(at)})

    def _change_set(self, set_id: str, kind: str, data: Mapping[str, Any]) -> None:
        system_id, _ = self._find_set(set_id)
        self._home.append(system_id, lambda _: (kind, {"set": set_id, **data}))

    async def tombstone(
        self, set_ids: Sequence[str], log_names: Sequence[str], reason: str, *, system_id: str | None = None
    ) -> None:
        """Say that these are to be deleted; nothing is deleted yet, and ``revive`` takes it back.

        ``system_id`` is needed for log files; sets are found by their id.
        """
        home = self._home
        which = await asyncio.to_thread(doomed, home, set_ids, log_names, system_id)
        await asyncio.to_thread(mark, home, "tombstone", which, reason)

    async def revive(
        self, set_ids: Sequence[str], log_names: Sequence[str], reason: str, *, system_id: str | None = None
    ) -> None:
        """Take tombstones back. Raises: ObjectMissing where a part was deleted already."""
        which = await asyncio.to_thread(doomed, self._home, set_ids, log_names, system_id)
        await asyncio.to_thread(require_whole, self._home, which)
        await asyncio.to_thread(mark, self._home, "revive", which, reason)

    async def delete(
        self,
        set_ids: Sequence[str],
        log_names: Sequence[str],
        *,
        system_id: str | None = None,
        grace: timedelta,
    ) -> int:
        """Delete what was tombstoned at least ``grace`` ago, for good; gives the bytes that became free. May be repeated.

        Raises: StillLocked for what has no tombstone, is held, is locked, or is needed by a set that stays; Denied where
        these credentials cannot delete. Then nothing was deleted.
        """
        which = await asyncio.to_thread(doomed, self._home, set_ids, log_names, system_id)
        return await asyncio.to_thread(delete, self._home, which, grace)

    async def settle(
        self,
        set_ids: Sequence[str],
        log_names: Mapping[str, Sequence[str]],
        *,
        kept_logs: Mapping[str, Sequence[str]],
        reason: str,
        grace: timedelta,
    ) -> Settled:
        """Expire: mark these, and delete those of them that were marked at least ``grace`` ago. May be repeated.

        ``log_names`` and ``kept_logs`` are by server; the marks of log that is kept again are taken back. What may not be
        deleted yet is left and told. Raises: Denied where these credentials cannot delete; Unreachable and the like.
        """

        def work() -> Settled:
            states = self._home.states()
            which: Doomed = {system: ([], list(names)) for system, names in log_names.items()}
            for one in set_ids:
                owner = next((system for system, state in states.items() if one in state.sets), None)
                if owner is not None:  # what was never complete here is not listed here
                    which.setdefault(owner, ([], []))[0].append(one)
            return settle(self._home, which, kept_logs, reason, grace)

        return await asyncio.to_thread(work)

    async def sweep(self, *, unfinished: Collection[str]) -> Swept:
        """Delete what was put there more than a day ago and is named by no entry of the index; ``unfinished`` sets stay.

        Raises: Denied where these credentials cannot delete, or nobody's signatures can be trusted; IndexBroken.
        """
        return await asyncio.to_thread(sweep, self._home, unfinished)

    # --- looking

    async def verify(self, *, deep: bool, progress: CopyProgress | None = None) -> list[CopyFault]:
        """Compare what is there with the signed index: presence, sizes, versions; ``deep``: every byte and every signature."""
        flow = Flow(bytes_per_second=self.document.bytes_per_second, progress=progress)
        can_read = self.document.identity is not None
        return await in_thread(flow, lambda: find_faults(self._home, self._contents, flow, deep=deep, can_read=can_read))

    async def read_through(self, set_id: str) -> int:
        """Decrypt every object of a set to nowhere; gives the bytes. Raises: WrongIdentity, ObjectDamaged and the like."""
        flow = Flow(bytes_per_second=self.document.bytes_per_second)
        return await in_thread(flow, lambda: self._read_through(set_id, flow))

    def _read_through(self, set_id: str, flow: Flow) -> int:
        system_id, found = self._find_set(set_id)
        self._need_identity()
        total = 0
        for one in objects_of_set(self._home.vault_id, system_id, set_id, found):
            self._contents.open(one.stowed, lambda data: flow.passed(len(data)), binding=one.binding, flow=flow)
            total += one.stowed.plain_size
        return total

    async def read_log_through(self, system_id: str, name: str) -> int:
        """Decrypt a log file to nowhere; gives its bytes. Raises: NotInVault, WrongIdentity, ObjectDamaged and the like."""
        flow = Flow(bytes_per_second=self.document.bytes_per_second)
        return await in_thread(flow, lambda: self._read_log_through(system_id, name, flow))

    def _read_log_through(self, system_id: str, name: str, flow: Flow) -> int:
        found = self._home.state_of(system_id).logs.get(name)
        if found is None or found["is_deleted"]:
            raise NotInVault(f"vault {self.name} has no log file {quoted(name, limit=100)}")
        self._need_identity()
        stowed = Stowed.of(found["object"])
        binding = self._binding(system_id, log=name, timeline=found["file"]["timeline"])
        self._contents.open(stowed, lambda data: flow.passed(len(data)), binding=binding, flow=flow)
        return stowed.plain_size

    async def switches_of(self, system_id: str, name: str) -> tuple[TimelineSwitch, ...]:
        """What was said of timelines when a history file was put away."""
        state = await asyncio.to_thread(self._home.state_of, system_id)
        said = state.logs.get(name, {}).get("switches", ())
        return tuple(switch_of(one, system_id) for one in said)

    async def facts(self) -> VaultFacts:
        """What it is, and what its lock and signatures are worth. Raises: Unreachable, Denied, IndexBroken."""
        return await asyncio.to_thread(facts_of, self._home)

    async def try_writing(self) -> tuple[str, ...]:
        """See that a set could be stored now; what is doubtful about it. Nothing is left in the vault.

        Raises: Unreachable, Denied, VaultUnusable, VaultMisconfigured, IndexBroken.
        """
        return await asyncio.to_thread(self._try_writing)

    def _try_writing(self) -> tuple[str, ...]:
        home = self._home
        home.storage.try_writing()
        home.states()  # an index that is broken, or signed by somebody else, takes no entry
        if home.key is None:
            raise VaultMisconfigured(
                "this machine has no key that signs what it puts there", hint="`dbre audit key` shows or makes it"
            )
        if self.can_read and not self._contents.reads_own:
            return ("the identity here opens nothing that is stored from now on: it belongs to none of the recipients",)
        return ()

    # --- common

    def _binding(self, system_id: str, **what: object) -> dict[str, object]:
        return {"vault": self._home.vault_id, "system": system_id, **what}

    def _find_set(self, set_id: str) -> tuple[str, dict[str, Any]]:
        for system_id, state in self._home.states().items():
            if _has(state, set_id):
                return system_id, state.sets[set_id]
        raise NotInVault(f"vault {self.name} has no set {quoted(set_id, limit=60)}", hint=f"dbre vault show {self.name}")

    def _need_identity(self) -> None:
        if self.document.identity is None:
            raise NoIdentity(
                f"vault {self.name} has no identity here: this machine writes it and cannot read it",
                hint="give vaults.identity the reference of an age identity of one of its recipients",
            )

    def _is_there(self, stowed: Stowed) -> bool:
        found = self._home.storage.look(stowed.key, version_id=stowed.version_id)
        return found is not None and found.size == stowed.size

    def _fetch_file(self, stowed: Stowed, into: Path, binding: Mapping[str, object], flow: Flow) -> None:
        part = into.with_name(into.name + ".dbre-fetch")
        part.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
                self._contents.open(stowed, lambda data: _write(file, data), binding=binding, flow=flow)
            part.rename(into)
        finally:
            part.unlink(missing_ok=True)


def _write(file: Any, data: bytes) -> None:
    file.write(data)


class _Counted:
    """Tells a flow what was read."""

    def __init__(self, source: Any, flow: Flow) -> None:
        self._source = source
        self._flow = flow

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes."""
        data: bytes = self._source.read(size)
        self._flow.passed(len(data))
        return data


def _has(state: VaultState, set_id: str) -> bool:
    return set_id in state.sets and not state.sets[set_id]["is_deleted"]


def _size(value: Mapping[str, Any]) -> int:
    return sum(int(one["size"]) for one in objects_of(value))


def _is_same(plan: TarPlan, start: int, length: int, done: Stowed, flow: Flow) -> bool:
    """Whether a part that was sent before a crash is what would be sent now."""
    digest, reader = hashlib.sha256(), plan.open(start, start + length)
    while data := reader.read(1 << 20):
        digest.update(data)
        flow.passed(len(data))
    return digest.hexdigest() == done.plain_sha256


def _manifest_in(plan: TarPlan, sha256: str | None) -> Path | None:
    """The file at the top of a copy that has this SHA-256; engines call it by different names."""
    if sha256 is None:
        return None
    for member in plan.top_files():
        with member.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return member
    return None


def _make_empty(into: Path) -> None:
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise NotInVault(f"{quoted(str(into))} is not empty", hint="a set is unpacked into a new directory only")
