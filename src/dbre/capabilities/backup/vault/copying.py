"""From one vault to another: decrypted, compared, encrypted anew for the other's recipients, and read back there."""

import asyncio
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dbre.capabilities.backup.model import BackupSet, LogState, SetState, StoredLog
from dbre.capabilities.backup.vault.errors import NotInVault
from dbre.capabilities.backup.vault.escrow import chain_of
from dbre.capabilities.backup.vault.vault import Vault
from dbre.core.errors import UsageError
from dbre.core.text import quoted
from dbre.ports.backup.model import LogKind

__all__ = ["Copied", "copy_set"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied; what was there already is not in it."""

    set_ids: tuple[str, ...]
    log_names: tuple[str, ...]
    bytes_stored: int
    chain: tuple[BackupSet, ...]  # as the target lists them: the set and all on which it stands, whoever copied them
    logs_there: frozenset[str]  # log files of the chain's server in the target


async def copy_set(
    source: Vault, target: Vault, set_id: str, *, staging: Path, with_log: bool, tell: Callable[[str], None]
) -> Copied:
    """Copy a set and all on which it stands; ``with_log`` also the log from its beginning on. May be repeated.

    ``staging`` is a directory that is made and removed.

    Raises: UsageError for an unknown set, NotInVault, NoIdentity, and whatever reading one and writing the other may raise.
    """
    try:
        return await _copied(source, target, set_id, staging=staging, with_log=with_log, tell=tell)
    finally:
        await asyncio.to_thread(shutil.rmtree, staging, ignore_errors=True)  # what stays is claimed, and collected later


async def _copied(
    source: Vault, target: Vault, set_id: str, *, staging: Path, with_log: bool, tell: Callable[[str], None]
) -> Copied:
    catalog, there = await source.catalog(), await target.catalog()
    one = catalog.get(set_id)
    if one is None or one.state is not SetState.SEALED:
        raise UsageError(f"vault {source.name} has no set {quoted(set_id, limit=60)}", hint=f"dbre vault show {source.name}")
    known = {item.id for item in there.sets if item.state is SetState.SEALED}
    stored, copied = 0, []
    for item in chain_of(catalog, one):
        if item.id in known:
            continue
        copied.append(item.id)
        if (found := there.get(item.id)) is not None and found.state is SetState.TOMBSTONED:
            tell(f"set {item.id} is marked for deletion in {target.name}: the mark is taken back")
            await target.revive([item.id], (), f"copied from {source.name} once more")
            continue
        tell(f"copying set {item.id} from {source.name} to {target.name}")
        directory = staging / f"copy-{secrets.token_hex(8)}"
        try:
            await source.fetch_set(item.id, directory)
            stored += (await target.put_set(item, directory)).bytes_stored
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        if target.can_read:
            await target.read_through(item.id)
    logs: list[str] = []
    if with_log:
        begin = one.start.value if one.start is not None else 0
        present = {item.file.name for item in there.logs if item.vaults and item.system_id == one.system_id}
        for log in catalog.logs:
            if log.vaults and log.system_id == one.system_id and _is_needed(log, begin) and log.file.name not in present:
                await _copy_log(source, target, log, staging)
                logs.append(log.file.name)
    after = await target.catalog(one.cluster)
    return Copied(
        set_ids=tuple(copied),
        log_names=tuple(logs),
        bytes_stored=stored,
        chain=tuple(found for item in chain_of(catalog, one) if (found := after.get(item.id)) is not None),
        logs_there=frozenset(log.file.name for log in after.logs if log.vaults and log.system_id == one.system_id),
    )


def _is_needed(log: StoredLog, begin: int) -> bool:
    """A file that came damaged is of no use there either."""
    return log.state is not LogState.LOST and (log.file.kind is LogKind.HISTORY or log.file.end > begin)


async def _copy_log(source: Vault, target: Vault, log: StoredLog, staging: Path) -> None:
    await asyncio.to_thread(staging.mkdir, mode=0o700, parents=True, exist_ok=True)
    path = staging / f"log-{secrets.token_hex(8)}"
    try:
        if not await source.fetch_log(log.system_id, log.file.name, path):
            raise NotInVault(f"log file {quoted(log.file.name, limit=100)} left vault {source.name} meanwhile")
        switches = await source.switches_of(log.system_id, log.file.name)
        await target.put_log(log.cluster, log.system_id, log.file, path, last_commit_at=log.last_commit_at, switches=switches)
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)
