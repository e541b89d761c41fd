"""Proof that the escrow identity alone still opens what was stored: the day on which it is needed is too late to learn it."""

import time
from dataclasses import dataclass

from pyrage import IdentityError, x25519

from dbre.capabilities.backup.catalog.escrows import insert_escrow, list_escrows
from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, Catalog, EscrowTrial, SetState
from dbre.capabilities.backup.vault.errors import NotInVault, VaultMisconfigured, WrongIdentity
from dbre.capabilities.backup.vault.opening import open_document, vault_named
from dbre.capabilities.backup.vault.records import when
from dbre.core.audit.log import AuditLog
from dbre.core.audit.model import AuditDraft
from dbre.core.errors import UsageError
from dbre.core.ids import uuid7
from dbre.core.secrets import SecretReference
from dbre.core.text import printable, quoted
from dbre.ports.backup.errors import CopyDamaged

__all__ = [
    "ESCROW_TRIED",
    "EscrowDrill",
    "chain_of",
    "drill_escrow",
    "escrow_tried_at",
    "make_identity",
    "recipient_of",
    "try_escrow",
]

ESCROW_TRIED = "vault.escrow_tried"
"""What the audit log calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowDrill:
    """What one identity opened."""

    vault: str
    recipient: str  # the identity's public half
    set_ids: tuple[str, ...]  # the set with all on which it stands
    log_name: str | None
    bytes: int  # decrypted
    seconds: float


def make_identity() -> tuple[str, str]:
    """A new identity and its recipient; hand the first to a file, nowhere else."""
    identity = x25519.Identity.generate()
    return str(identity), str(identity.to_public())


async def recipient_of(reference: SecretReference) -> str:
    """The public half of an identity. Raises: SecretUnavailable, VaultMisconfigured."""
    text = (await reference.resolve()).reveal()
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        return str(x25519.Identity.from_str(lines[0] if lines else "").to_public())
    except IdentityError:
        raise VaultMisconfigured(f"{reference} holds no age identity", hint="AGE-SECRET-KEY-1...") from None


async def drill_escrow(ground: BackupGround, name: str, identity: SecretReference, *, set_id: str | None = None) -> EscrowDrill:
    """Decrypt every byte of a set (default: the newest), of all on which it stands, and of the newest log file.

    Raises: UsageError for the identity that is used every day; WrongIdentity; ObjectDamaged and the like; NotInVault.
    """
    document = vault_named(ground, name)
    recipient = await recipient_of(identity)
    if document.identity is not None and recipient == await recipient_of(document.identity):
        raise UsageError(
            f"this is the identity with which vault {name} is read every day: that it works is known",
            hint="give the escrow identity, from where it is kept",
        )
    if recipient not in document.recipients:
        raise UsageError(
            f"vault {name} does not encrypt for {recipient}", hint="its recipients in dbre.yaml; new sets are for those only"
        )
    began = time.monotonic()
    async with open_document(ground, document.model_copy(update={"identity": identity})) as vault:
        catalog = await vault.catalog()
        chain = chain_of(catalog, _wanted(catalog, set_id, name))
        total = 0
        for one in chain:
            total += await vault.read_through(one.id)
        logs = [one for one in catalog.logs if one.vaults and one.system_id == chain[-1].system_id]
        newest = max(logs, key=lambda one: one.received_at, default=None)
        if newest is not None:
            total += await vault.read_log_through(newest.system_id, newest.file.name)
    return EscrowDrill(
        vault=name,
        recipient=recipient,
        set_ids=tuple(one.id for one in chain),
        log_name=None if newest is None else newest.file.name,
        bytes=total,
        seconds=time.monotonic() - began,
    )


async def try_escrow(
    ground: BackupGround, name: str, identity: SecretReference, *, set_id: str | None, actor: str
) -> EscrowDrill:
    """``drill_escrow``, noted in the state store and in the audit log whatever comes of it. Raises: as that does."""
    recipient = await recipient_of(identity)
    try:
        found = await drill_escrow(ground, name, identity, set_id=set_id)
    except (CopyDamaged, WrongIdentity) as error:
        await _note(ground, _trial(ground, name, recipient, actor, found=None, reason=printable(error.message, limit=500)))
        raise
    await _note(ground, _trial(ground, name, recipient, actor, found=found, reason=""))
    return found


async def escrow_tried_at(ground: BackupGround, document: VaultDocument) -> str | None:
    """When a recipient of today last opened what is stored, as far as the state store knows."""
    if ground.store is None:
        return None
    async with ground.store.read() as connection:
        trials = await list_escrows(connection, vault=document.name)
    return next((when(one.at) for one in trials if one.is_opened and one.recipient in document.recipients), None)


def _trial(
    ground: BackupGround, vault: str, recipient: str, actor: str, *, found: EscrowDrill | None, reason: str
) -> EscrowTrial:
    return EscrowTrial(
        id=uuid7(ground.clock),
        vault=vault,
        recipient=recipient,
        at=ground.clock.now(),
        actor=actor,
        is_opened=found is not None,
        reason=reason,
        set_ids=found.set_ids if found is not None else (),
        log_name=found.log_name if found is not None else None,
        bytes=found.bytes if found is not None else 0,
        seconds=found.seconds if found is not None else 0.0,
    )


async def _note(ground: BackupGround, one: EscrowTrial) -> None:
    if ground.store is None:
        return
    data = {"recipient": one.recipient, "is_opened": one.is_opened, "reason": one.reason, "sets": list(one.set_ids)}
    entry = AuditDraft(action=ESCROW_TRIED, actor=one.actor, subject=f"vault/{one.vault}", data=data | {"bytes": one.bytes})
    async with ground.store.begin() as connection:
        await insert_escrow(connection, one)
        await AuditLog(ground.clock).record(connection, entry)


def _wanted(catalog: Catalog, set_id: str | None, name: str) -> BackupSet:
    there = [one for one in catalog.sets if one.state is SetState.SEALED]
    found = [one for one in there if set_id is None or one.id == set_id]
    if not found:
        which = "no set" if set_id is None else f"no set {quoted(set_id, limit=60)}"
        raise NotInVault(f"vault {name} has {which}", hint=f"dbre vault show {name}")
    return found[-1]


def chain_of(catalog: Catalog, one: BackupSet) -> tuple[BackupSet, ...]:
    """A set and all on which it stands, the oldest first. Raises: NotInVault where one is missing."""
    chain = [one]
    while chain[0].parent_id is not None:
        parent = catalog.get(chain[0].parent_id)
        if parent is None or not parent.vaults or parent in chain:
            raise NotInVault(f"set {chain[0].id} stands on {chain[0].parent_id}, which is not in this vault")
        chain.insert(0, parent)
    return tuple(chain)
