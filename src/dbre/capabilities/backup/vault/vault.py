"""One vault: sets and log files put away for good, and given back only after every byte was compared."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.model import BackupSet, Catalog, TimelineSwitch
from dbre.capabilities.backup.vault.checking import find_faults
from dbre.capabilities.backup.vault.expiring import Doomed, Settled, delete, doomed, mark, require_whole, settle
from dbre.capabilities.backup.vault.facts import VaultFacts, facts_of
from dbre.capabilities.backup.vault.fetching import fetch_log, fetch_manifest, fetch_set, read_log_through, read_set_through
from dbre.capabilities.backup.vault.flow import Flow, in_thread
from dbre.capabilities.backup.vault.inside import Inside
from dbre.capabilities.backup.vault.listing import catalog_of
from dbre.capabilities.backup.vault.putting import StoredSet, put_set
from dbre.capabilities.backup.vault.putting_log import FinishedLog, note_damage, put_log
from dbre.capabilities.backup.vault.readiness import require_writable
from dbre.capabilities.backup.vault.records import switch_of, when
from dbre.capabilities.backup.vault.sweeping import Swept, sweep
from dbre.capabilities.backup.vault.tar_stream import plan_tar
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.model import CopyFault, LogFile

__all__ = ["StoredSet", "Vault"]


class Vault:
    """Made by ``open_vault``. Several tasks may use one at a time: what blocks is done by threads."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._home = inside.home

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
        return await in_thread(flow, lambda: put_set(self._inside, record, plan, flow))

    async def fetch_set(self, set_id: str, into: Path, progress: CopyProgress | None = None) -> None:
        """Unpack a set into a directory that is new or empty; every object is compared with the signed index before.

        Raises: NotInVault, NoIdentity, WrongIdentity, ObjectMissing, ObjectDamaged; then what is in ``into`` is worthless.
        """
        flow = Flow(bytes_per_second=self.document.bytes_per_second, progress=progress)
        await in_thread(flow, lambda: fetch_set(self._inside, set_id, into, flow))

    async def fetch_manifest(self, set_id: str, into: Path) -> None:
        """Put the manifest of a set at ``into``, a new file. Raises: NotInVault and the like."""
        flow = Flow()
        await in_thread(flow, lambda: fetch_manifest(self._inside, set_id, into, flow))

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
        log = FinishedLog(
            cluster=cluster, system_id=system_id, file=file, path=path, last_commit_at=last_commit_at, switches=switches
        )
        await in_thread(flow, lambda: put_log(self._inside, log, flow))

    async def note_damage(self, system_id: str, file: LogFile, reason: str) -> None:
        """Note that the records of a log file that lies here cannot be read, so that nobody plans on it."""
        await asyncio.to_thread(note_damage, self._inside, system_id, file, reason)

    async def fetch_log(self, system_id: str, name: str, into: Path) -> bool:
        """Put a log file at ``into``, a new file; False where the index says for certain that it is not here.

        Raises: ObjectMissing, ObjectDamaged and the like where it should be here.
        """
        flow = Flow(bytes_per_second=self.document.bytes_per_second)
        return await in_thread(flow, lambda: fetch_log(self._inside, system_id, name, into, flow))

    # --- the catalog

    async def catalog(self, cluster: str | None = None) -> Catalog:
        """What the vault holds of a cluster, or of all; needs no identity and no state store."""
        return await asyncio.to_thread(catalog_of, self._home, cluster)

    # --- keeping and deleting

    async def hold(self, set_id: str, reason: str | None) -> None:
        """Keep a set whatever the retention says, or no longer (None)."""
        await asyncio.to_thread(self._change_set, set_id, "hold", {"reason": reason})

    async def mark_proven(self, set_id: str, at: datetime) -> None:
        """Note that a drill passed with a set."""
        await asyncio.to_thread(self._change_set, set_id, "proven", {"at": when(at)})

    def _change_set(self, set_id: str, kind: str, data: Mapping[str, Any]) -> None:
        system_id, _ = self._inside.find_set(set_id)
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
        return await in_thread(flow, lambda: find_faults(self._home, self._inside.contents, flow, deep=deep, can_read=can_read))

    async def read_through(self, set_id: str) -> int:
        """Decrypt every object of a set to nowhere; gives the bytes. Raises: WrongIdentity, ObjectDamaged and the like."""
        flow = Flow(bytes_per_second=self.document.bytes_per_second)
        return await in_thread(flow, lambda: read_set_through(self._inside, set_id, flow))

    async def read_log_through(self, system_id: str, name: str) -> int:
        """Decrypt a log file to nowhere; gives its bytes. Raises: NotInVault, WrongIdentity, ObjectDamaged and the like."""
        flow = Flow(bytes_per_second=self.document.bytes_per_second)
        return await in_thread(flow, lambda: read_log_through(self._inside, system_id, name, flow))

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
        return await asyncio.to_thread(require_writable, self._inside)
