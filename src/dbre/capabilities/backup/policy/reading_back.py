"""A set read back from a vault, every file compared with the manifest."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet
from dbre.capabilities.backup.taking.staging import require_space
from dbre.capabilities.backup.taking.vaults import open_set_vault
from dbre.core.errors import Conflict
from dbre.core.programs.account import give
from dbre.ports.backup.model import CopyFault, Verified

__all__ = ["read_back"]


async def read_back(ground: BackupGround, one: BackupSet, vault: str) -> Verified:
    """Fetch a set into a directory that is removed afterwards, and verify it; damage of the vault's objects is a fault, too.

    Raises: PrecheckFailed where there is no room; Unreachable and the like of the vault.
    """
    await asyncio.to_thread(require_space, ground, one.bytes_source)
    port = ground.port_of(ground.fleet.cluster(one.cluster), provider=one.provider)
    with _scratch(ground) as directory:
        into = directory / "set"
        try:
            async with open_set_vault(ground, vault) as opened:
                await opened.fetch_set(one.id, into, _untold)
        except Conflict as error:  # what the vault gives is not what was put there
            return Verified(
                files=0, bytes=0, seconds=0.0, faults=(CopyFault(rule=error.code, subject=one.id, detail=error.message),)
            )
        await asyncio.to_thread(_give_all, ground, into)
        return await port.verify(into)


async def _untold(done: int, total: int | None) -> None:
    """Nobody watches."""


@contextmanager
def _scratch(ground: BackupGround) -> Iterator[Path]:
    ground.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="verify-", dir=ground.directory))
    try:
        directory.chmod(0o711)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _give_all(ground: BackupGround, root: Path) -> None:
    account = ground.place.account
    for path in (root, *root.rglob("*")):
        give(path, account)
