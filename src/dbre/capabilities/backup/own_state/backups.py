"""Copies of the state store, taken all the time: a control plane runs it beside its other parts."""

import asyncio
import hashlib
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.capabilities.backup.own_state.copying import StateCopy, copy_state
from dbre.capabilities.backup.own_state.model import CLUSTER, newest_first, system_of
from dbre.core.errors import DbreError, UsageError
from dbre.core.events import EventLog
from dbre.core.ids import uuid7
from dbre.core.secrets import SecretReference
from dbre.core.store import Store
from dbre.core.text import printable
from dbre.ports.backup.model import ChecksumState

if TYPE_CHECKING:
    from dbre.capabilities.backup.vault.vault import Vault

__all__ = ["STATE_BACKUP_FAILED", "StateBackups"]

STATE_BACKUP_FAILED = "backup.state_failed"
"""The event of a state store that cannot be put away: told once, until it can be again."""
_AGAIN = timedelta(minutes=1)
_log = structlog.get_logger(__name__)


class StateBackups:
    """Keeps the newest copies of the state store in the vaults of ``backup.state_vaults``.

    ``password`` is that of a state store in PostgreSQL (``state.password``).
    """

    def __init__(self, ground: BackupGround, *, password: SecretReference | None = None) -> None:
        self._ground = ground
        self._password = password
        self._failing: str | None = None

    async def run(self) -> None:
        """Copy as often as configured until cancelled; without any vault, only wait."""
        settings, clock = self._ground.settings, self._ground.clock
        if not settings.state_vaults:
            await asyncio.Event().wait()
        due = await self._due()
        while True:
            wait = (due - clock.now()).total_seconds()
            if wait > 0:
                await clock.sleep(wait)
            began = clock.now()
            try:
                await self.take()
            except (DbreError, OSError) as error:
                await self._tell(error)
                due = clock.now() + min(_AGAIN, settings.state_every)
            else:
                self._failing = None
                due = began + settings.state_every

    async def take(self) -> BackupSet:
        """Copy now, put the copy into every vault, and let the oldest go.

        Raises: StoreError, Unreachable, Denied, CopyFailed and what vaults raise; what could be stored before stays stored.
        """
        store, ground = self._store, self._ground
        set_id = str(uuid7(ground.clock))
        directory = await asyncio.to_thread(_fresh, ground.directory, set_id)
        try:
            password = await self._password.resolve() if self._password is not None else None
            copied = await copy_state(ground, store, directory, set_id=set_id, password=password)
            record = await asyncio.to_thread(_record, copied, set_id, system_of(store.address))
            await self._put(record, directory)
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        return record

    async def _put(self, record: BackupSet, directory: Path) -> None:
        """Every vault is tried; the first that failed is told at the end."""
        from dbre.capabilities.backup.vault.opening import open_vault  # it loads drivers of storages

        problem: DbreError | None = None
        for name in self._ground.settings.state_vaults:
            try:
                async with open_vault(self._ground, name) as vault:
                    await vault.put_set(record, directory)
                    if vault.document.can_delete:
                        await self._thin_out(vault, record.system_id)
            except DbreError as error:
                problem = problem or error
        if problem is not None:
            raise problem

    async def _thin_out(self, vault: "Vault", system_id: str) -> None:
        """Let all but the newest go; also what was marked before by somebody who died then."""
        catalog = await vault.catalog(CLUSTER)
        old = [one.id for one in newest_first(catalog, system_id=system_id)[self._keep :]]
        marked = [one.id for one in catalog.sets if one.state is SetState.TOMBSTONED and one.system_id == system_id]
        if old:
            await vault.tombstone(old, [], f"the newest {self._keep} copies of the state store are kept")
        if old or marked:
            await vault.delete([*marked, *old], [], grace=timedelta(0))

    async def _due(self) -> datetime:
        """A restart is no reason for another copy."""
        from dbre.capabilities.backup.vault.opening import open_vault

        now, settings = self._ground.clock.now(), self._ground.settings
        newest: list[datetime] = []
        for name in settings.state_vaults:
            try:
                async with open_vault(self._ground, name) as vault:
                    found = newest_first(await vault.catalog(CLUSTER), system_id=system_of(self._store.address))
            except DbreError:
                return now  # taking one tells what is wrong
            if not found:
                return now
            newest.append(found[0].started_at)
        return min(newest) + settings.state_every

    async def _tell(self, error: DbreError | OSError) -> None:
        reason = printable(error.message if isinstance(error, DbreError) else str(error), limit=500)
        hint = error.hint if isinstance(error, DbreError) else None
        code = error.code if isinstance(error, DbreError) else "os"
        if self._failing == code:
            return
        self._failing = code
        _log.error("state_backup_failed", reason=reason, hint=hint)
        try:
            async with self._store.begin() as connection:
                data = {"message": reason, "hint": hint, "code": code, "vaults": list(self._ground.settings.state_vaults)}
                await EventLog(self._ground.clock).emit(
                    connection, kind=STATE_BACKUP_FAILED, subject="control-plane/state", data=data
                )
        except DbreError as second:
            _log.error("event_not_stored", reason=printable(second.message, limit=300))

    @property
    def _keep(self) -> int:
        return self._ground.settings.state_keep

    @property
    def _store(self) -> Store:
        if self._ground.store is None:
            raise UsageError("there is no open state store to be copied", hint="dbre server")
        return self._ground.store


def _fresh(root: Path, set_id: str) -> Path:
    """A new directory; what a killed copy left goes."""
    root.mkdir(mode=0o711, parents=True, exist_ok=True)
    parent = root / "state"
    parent.mkdir(mode=0o711, exist_ok=True)
    for left in parent.iterdir():
        shutil.rmtree(left, ignore_errors=True)
    directory = parent / set_id
    directory.mkdir(mode=0o700)
    return directory


def _record(copied: StateCopy, set_id: str, system_id: str) -> BackupSet:
    return BackupSet(
        id=set_id,
        cluster=CLUSTER,
        engine=copied.engine,
        policy=CLUSTER,
        provider=CLUSTER,
        system_id=system_id,
        kind=copied.kind,
        parent_id=None,
        state=SetState.SEALED,
        start=None,
        stop=None,
        started_at=copied.started_at,
        stopped_at=copied.stopped_at,
        version_text=copied.version_text,
        tool=copied.tool,
        checksums=ChecksumState.UNCHECKED,
        bytes_source=copied.bytes,
        bytes_stored=None,
        manifest_sha256=hashlib.sha256(copied.manifest.read_bytes()).hexdigest(),
        details=dict(copied.details),
    )
