"""What sets need of a vault."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from dbre.capabilities.backup.documents import PolicyDocument, VaultDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, Catalog
from dbre.capabilities.backup.taking.staging import SetStaging, forget_manifest, kept_manifest
from dbre.core.errors import DbreError, UsageError
from dbre.core.text import closest, quoted
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import CopyDamaged

__all__ = ["SetVault", "StoredSize", "fetch_manifest", "open_set_vault", "require_vaults"]


class StoredSize(Protocol):
    """What ``put_set`` gives."""

    @property
    def bytes_stored(self) -> int:
        """Compressed and encrypted."""
        ...

    @property
    def lock_until(self) -> datetime | None:
        """Before this the vault lets nobody delete it."""
        ...


class SetVault(Protocol):
    """The part of ``vault.vault.Vault`` that sets need."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...

    @property
    def document(self) -> VaultDocument:
        """Its configuration."""
        ...

    async def put_set(self, record: BackupSet, directory: Path, progress: CopyProgress) -> StoredSize:
        """Store a set; visible only when it is complete. Goes on where an earlier attempt was interrupted."""
        ...

    async def fetch_set(self, set_id: str, into: Path, progress: CopyProgress) -> None:
        """Put a set into a directory, every object verified."""
        ...

    async def fetch_manifest(self, set_id: str, into: Path) -> None:
        """Put the manifest of a set at a path."""
        ...

    async def catalog(self, cluster: str | None) -> Catalog:
        """What the vault itself says that it holds."""
        ...

    async def tombstone(self, set_ids: Sequence[str], log_names: Sequence[tuple[str, str]], reason: str) -> None:
        """Mark sets and log files (system and name): they are to be deleted."""
        ...

    async def delete(self, set_ids: Sequence[str], log_names: Sequence[tuple[str, str]]) -> None:
        """Delete what was marked."""
        ...

    async def hold(self, set_id: str, reason: str | None) -> None:
        """Keep a set whatever happens, or no longer."""
        ...


def open_set_vault(ground: BackupGround, name: str) -> AbstractAsyncContextManager[SetVault]:
    """A vault by its name. Raises: UsageError."""
    from dbre.capabilities.backup.vault.opening import open_vault

    return open_vault(ground, name)


def require_vaults(ground: BackupGround, policy: PolicyDocument) -> None:
    """Raises: UsageError where a policy names a vault that is not configured."""
    known = [one.name for one in ground.vaults]
    for name in policy.vaults:
        if name not in known:
            near = closest(name, known)
            hint = f"did you mean {near}?" if near else f"configured: {', '.join(known) or 'none'}; add it under vaults:"
            raise UsageError(f"policy {policy.name} names vault {quoted(name, limit=80)}, and there is none", hint=hint)


async def fetch_manifest(ground: BackupGround, one: BackupSet) -> Path:
    """The manifest of a set from the first vault that gives it, kept on this machine. Raises: the error of the last vault."""
    trouble: DbreError = CopyDamaged(f"no vault has set {one.id}", hint="dbre vault verify")
    staging = SetStaging(ground, one.id)
    fetched = ground.directory / "manifests" / f"{one.id}.fetched"
    fetched.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    for name in one.vaults:
        try:
            fetched.unlink(missing_ok=True)
            async with open_set_vault(ground, name) as vault:
                await vault.fetch_manifest(one.id, fetched)
            digest = await staging.keep_manifest(fetched)
            if (kept := await kept_manifest(ground, one.id, one.manifest_sha256)) is not None:
                return kept
            trouble = CopyDamaged(
                f"the manifest of set {one.id} in vault {name} has SHA-256 {digest[:12]}..., and not that of the catalog",
                hint=f"dbre vault verify {name}",
            )
            await forget_manifest(ground, one.id)
        except DbreError as error:
            trouble = error
        finally:
            fetched.unlink(missing_ok=True)
    raise trouble
