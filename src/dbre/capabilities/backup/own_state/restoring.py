"""The state store brought back from a vault alone: no store, and no configuration but where the vault is."""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet
from dbre.capabilities.backup.own_state.model import CLUSTER, ENGINE_OF_FILES, STATE_FILE, newest_first
from dbre.core.errors import DbreError, UsageError
from dbre.core.store.copy import flush
from dbre.core.text import counted, printable, quoted
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.file_manifest import MANIFEST_NAME, verify_files

__all__ = ["NoStateCopy", "RestoredState", "restore_state"]

_SHOWN_FAULTS = 5


class NoStateCopy(DbreError):
    """A vault has no copy of a state store, or not the one that was asked for."""

    code = "backup.no_state_copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredState:
    """What came back."""

    copy: BackupSet
    target: Path
    bytes: int
    older: int  # copies that the vault has besides


async def restore_state(
    ground: BackupGround, document: VaultDocument, target: Path, *, set_id: str | None = None
) -> RestoredState:
    """Fetch the newest copy (or the named one), compare every file, and put it at ``target``, which is new.

    A SQLite store becomes a file that a control plane can be started with; a store in PostgreSQL becomes the directory of
    its dump, for pg_restore.

    Raises: NoStateCopy; UsageError where ``target`` exists or the vault has copies of several stores; CopyDamaged; and what
    vaults raise.
    """
    from dbre.capabilities.backup.vault.given import GIVEN
    from dbre.capabilities.backup.vault.opening import open_document

    await asyncio.to_thread(_require_new, target)
    scratch = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=".dbre-state-", dir=target.parent))
    try:
        own = replace(ground, directory=scratch / "backup") if document.name == GIVEN else ground
        async with open_document(own, document) as vault:
            found = newest_first(await vault.catalog(CLUSTER))
            chosen = _choose(found, set_id, document.name)
            unpacked = scratch / "set"
            await vault.fetch_set(chosen.id, unpacked)
        size = await asyncio.to_thread(_place, chosen, unpacked, target)
    finally:
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
    return RestoredState(copy=chosen, target=target, bytes=size, older=len(found) - 1)


def _choose(found: Sequence[BackupSet], set_id: str | None, vault: str) -> BackupSet:
    if set_id is not None:
        chosen = next((one for one in found if one.id == set_id), None)
        if chosen is None:
            raise NoStateCopy(
                f"vault {vault} has no copy of a state store with the id {quoted(set_id, limit=60)}",
                hint=f"it has {', '.join(one.id for one in found[:5]) or 'none'}",
            )
        return chosen
    if not found:
        raise NoStateCopy(
            f"vault {vault} has no copy of a state store", hint="backup.state_vaults of dbre.yaml says where they are put"
        )
    systems = {one.system_id: one for one in reversed(found)}
    if len(systems) > 1:
        each = "; ".join(f"{one.id} of {one.started_at:%Y-%m-%d %H:%M}Z" for one in systems.values())
        raise UsageError(
            f"vault {vault} has copies of {counted(len(systems), 'state store')}: say which", hint=f"--set, the newest: {each}"
        )
    return found[0]


def _require_new(target: Path) -> None:
    shown = quoted(str(target), limit=300)
    if target.is_symlink() or target.exists():
        raise UsageError(f"{shown} exists already: nothing is ever restored over", hint="name a file that does not exist")
    if not target.parent.is_dir():
        raise UsageError(f"the directory of {shown} does not exist", hint="make it first")


def _place(chosen: BackupSet, unpacked: Path, target: Path) -> int:
    """Compare with the manifest, look into it, and give it its name."""
    verified = verify_files(unpacked, engine=chosen.engine)
    if not verified.is_good:
        shown = "; ".join(printable(f"{one.subject}: {one.detail}", limit=200) for one in verified.faults[:_SHOWN_FAULTS])
        raise CopyDamaged(
            f"copy {chosen.id} of the state store is not what was stored: {shown}", hint="choose another copy: --set"
        )
    if chosen.engine != ENGINE_OF_FILES:
        unpacked.rename(target)
        return verified.bytes
    _look_into(unpacked / STATE_FILE, chosen.id)
    (unpacked / MANIFEST_NAME).unlink()
    (unpacked / STATE_FILE).chmod(0o600)
    (unpacked / STATE_FILE).rename(target)
    flush(target)
    flush(target.parent)
    return target.stat().st_size


def _look_into(path: Path, set_id: str) -> None:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            verdict = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        raise CopyDamaged(f"copy {set_id} of the state store is damaged: {printable(verdict, limit=200)}", hint="--set")
