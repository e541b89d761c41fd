"""Opens vaults: makes the storage of its kind, fetches secrets, and closes it all again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path

from pyrage import IdentityError, RecipientError, x25519

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.vault.contents import Contents
from dbre.capabilities.backup.vault.errors import NoSuchVault, VaultMisconfigured
from dbre.capabilities.backup.vault.filesystem import FilesystemStorage
from dbre.capabilities.backup.vault.home import VaultHome
from dbre.capabilities.backup.vault.storage import Storage
from dbre.capabilities.backup.vault.vault import PART_BYTES, LockUntil, Vault
from dbre.core.audit.signed_note import VerifierKey
from dbre.core.errors import UsageError
from dbre.core.text import closest, quoted

__all__ = ["open_document", "open_vault", "open_vaults", "vault_named"]


def vault_named(ground: BackupGround, name: str) -> VaultDocument:
    """The configuration of a vault. Raises: NoSuchVault."""
    found = next((one for one in ground.vaults if one.name == name), None)
    if found is None:
        near = closest(name, [one.name for one in ground.vaults])
        hint = f"did you mean {near}?" if near else "vaults of dbre.yaml names those that there are"
        raise NoSuchVault(f"no vault is called {quoted(name, limit=60)}", hint=hint)
    return found


@asynccontextmanager
async def open_vaults(ground: BackupGround, names: Sequence[str]) -> AsyncIterator[tuple[Vault, ...]]:
    """Several vaults, in this order. Raises: NoSuchVault before any is opened."""
    for name in names:
        vault_named(ground, name)
    async with AsyncExitStack() as stack:
        yield tuple([await stack.enter_async_context(open_vault(ground, name)) for name in names])


@asynccontextmanager
async def open_vault(ground: BackupGround, name: str) -> AsyncIterator[Vault]:
    """One vault. Nothing is read or written yet.

    Raises: NoSuchVault, VaultMisconfigured, SecretUnavailable.
    """
    async with open_document(ground, vault_named(ground, name)) as vault:
        yield vault


@asynccontextmanager
async def open_document(ground: BackupGround, document: VaultDocument, *, part_bytes: int = PART_BYTES) -> AsyncIterator[Vault]:
    """A vault by its configuration."""
    storage = await _storage_of(document)
    try:
        home = VaultHome(
            storage,
            document,
            key=await ground.find_signing_key(),
            signers=[VerifierKey.parse(one) for one in document.signers],
            directory=ground.directory / "vaults" / document.name,
            clock=ground.clock,
        )
        contents = Contents(
            storage,
            staging=home.directory / "staging",
            recipients=_recipients_of(document),
            identities=await _identities_of(document),
        )
        yield Vault(home, contents, lock_until=_lock_rule(ground, document), part_bytes=part_bytes)
    finally:
        await asyncio.to_thread(storage.close)


async def _storage_of(document: VaultDocument) -> Storage:
    if document.kind == "filesystem":
        path = Path(document.path)
        if not path.is_absolute():
            raise VaultMisconfigured(f"vault {document.name}: path must be an absolute directory", hint="path: /srv/backups")
        return FilesystemStorage(path, is_locked=document.object_lock != "none")
    raise VaultMisconfigured(f"vault {document.name}: kind {document.kind} cannot be opened")


def _recipients_of(document: VaultDocument) -> list[x25519.Recipient]:
    if len(set(document.recipients)) < 2:
        raise VaultMisconfigured(
            f"vault {document.name}: its recipients are one and the same", hint="name two: operations and escrow"
        )
    try:
        return [x25519.Recipient.from_str(one) for one in document.recipients]
    except RecipientError as error:
        raise VaultMisconfigured(f"vault {document.name}: a recipient is mistyped: {error}", hint="dbre vault key") from error


async def _identities_of(document: VaultDocument) -> list[x25519.Identity]:
    if document.identity is None:
        return []
    text = (await document.identity.resolve()).reveal()
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        return [x25519.Identity.from_str(line) for line in lines]
    except IdentityError:
        raise VaultMisconfigured(
            f"vault {document.name}: {document.identity} holds no age identity",
            hint="AGE-SECRET-KEY-1...; dbre vault key makes one",
        ) from None


def _lock_rule(ground: BackupGround, document: VaultDocument) -> LockUntil:
    """What the retention of a cluster's policy keeps anyway is locked that long, and the grace on top of it."""

    def lock_until(cluster: str, at: datetime) -> datetime | None:
        if document.object_lock == "none":
            return None
        try:
            policy = ground.policy_of(cluster)
        except UsageError:  # no longer in the inventory
            policy = None
        if policy is None:
            return None
        return at + policy.retention.grace + (policy.retention.window or policy.retention.grace)

    return lock_until
