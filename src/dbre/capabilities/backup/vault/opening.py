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
from dbre.capabilities.backup.vault.inside import PART_BYTES, Inside, LockUntil
from dbre.capabilities.backup.vault.storage import Storage
from dbre.capabilities.backup.vault.vault import Vault
from dbre.core.audit.signed_note import VerifierKey
from dbre.core.errors import Unsupported, UsageError
from dbre.core.secrets import Secret, SecretReference
from dbre.core.text import closest, quoted

__all__ = ["open_document", "open_vault", "open_vaults", "storage_of", "vault_named"]


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
    storage = await storage_of(document)
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
        yield Vault(Inside(home=home, contents=contents, lock_until=_lock_rule(ground, document), part_bytes=part_bytes))
    finally:
        await asyncio.to_thread(storage.close)


async def storage_of(document: VaultDocument) -> Storage:
    """The place of a vault. Raises: VaultMisconfigured, Unsupported, SecretUnavailable."""
    if document.kind == "filesystem":
        path = Path(document.path)
        if not path.is_absolute():
            raise VaultMisconfigured(f"vault {document.name}: path must be an absolute directory", hint="path: /srv/backups")
        return FilesystemStorage(path, is_locked=document.object_lock != "none")
    return await (_s3 if document.kind == "s3" else _sftp)(document)


async def _secret(reference: SecretReference | None) -> Secret | None:
    return None if reference is None else await reference.resolve()


async def _s3(document: VaultDocument) -> Storage:
    try:
        from dbre.capabilities.backup.vault.s3 import Bucket, S3Storage
    except ImportError as error:
        raise Unsupported("vaults of kind s3 need boto3", hint="pip install 'dbre[s3]'") from error
    if not document.bucket:
        raise VaultMisconfigured(f"vault {document.name}: kind s3 needs a bucket", hint="bucket: my-backups")
    prefix = document.prefix.strip("/")
    bucket = Bucket(
        name=document.bucket,
        prefix=f"{prefix}/" if prefix else "",
        endpoint=document.endpoint or None,
        region=document.region,
        access_key=await _secret(document.access_key),
        secret_key=await _secret(document.secret_key),
        lock=document.object_lock,
    )
    return await asyncio.to_thread(S3Storage, bucket)  # boto3 reads half a megabyte of descriptions


async def _sftp(document: VaultDocument) -> Storage:
    try:
        from dbre.capabilities.backup.vault.sftp import SftpPlace, SftpStorage
    except ImportError as error:
        raise Unsupported("vaults of kind sftp need paramiko", hint="pip install 'dbre[sftp]'") from error
    for field in ("host", "user", "host_key"):
        if not getattr(document, field):
            raise VaultMisconfigured(f"vault {document.name}: kind sftp needs {field}", hint="host, user, host_key, path")
    if not document.path.startswith("/"):
        raise VaultMisconfigured(f"vault {document.name}: path must be an absolute directory", hint="path: /srv/backups")
    place = SftpPlace(
        host=document.host,
        port=document.port,
        user=document.user,
        path=document.path,
        host_key=document.host_key,
        private_key=await _secret(document.private_key),
        password=await _secret(document.password),
        is_locked=document.object_lock != "none",
    )
    return SftpStorage(place)


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
