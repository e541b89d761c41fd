"""A set read back from a vault, every file compared with the manifest."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet
from dbre.capabilities.backup.restoring.claims import claimed
from dbre.capabilities.backup.restoring.leftovers import tidy
from dbre.capabilities.backup.restoring.staging import remove_tree
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
    await tidy(ground)
    directory = ground.directory / f"verify-{secrets.token_hex(8)}"
    async with claimed(ground.directory, purpose="verification", sets=[one.id], directories=[directory]), _scratch(directory):
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


@asynccontextmanager
async def _scratch(directory: Path) -> AsyncIterator[None]:
    await asyncio.to_thread(directory.mkdir, mode=0o711)
    try:
        await asyncio.to_thread(directory.chmod, 0o711)
        yield
    finally:
        await asyncio.to_thread(remove_tree, directory)


def _give_all(ground: BackupGround, root: Path) -> None:
    account = ground.place.account
    for path in (root, *root.rglob("*")):
        give(path, account)
