"""What a vault is and what it is not: told as it is, with what its lock and its signatures are worth."""

from dataclasses import dataclass
from datetime import datetime

from dbre.capabilities.backup.vault.home import VaultHome
from dbre.capabilities.backup.vault.records import moment
from dbre.capabilities.backup.vault.state import objects_of
from dbre.capabilities.backup.vault.storage import LockStrength

__all__ = ["VaultFacts", "facts_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultFacts:
    """One vault, as it answered just now."""

    name: str
    kind: str
    address: str
    lock: LockStrength  # none, advisory (only dbre keeps it), enforced (the service refuses)
    trust: str  # configured, own key, first use (the key that the vault itself names: a forger could name his)
    is_versioned: bool
    is_offsite: bool
    can_read: bool  # an identity is configured here
    can_delete: bool
    free_bytes: int | None
    recipients: int
    sets: int
    log_files: int
    bytes: int  # of what is live
    last_entry_at: datetime | None
    problems: tuple[str, ...]


def facts_of(home: VaultHome) -> VaultFacts:
    """Ask the place and read its index. It blocks. Raises: Unreachable, Denied, IndexBroken."""
    document, place = home.document, home.storage.facts()
    states = home.states().values()
    live = [one for state in states for one in (*state.sets.values(), *state.logs.values()) if not one["is_deleted"]]
    problems = list(place.problems)
    if home.trust == "first use":
        problems.append("no signer is configured: entries are trusted by the key that the vault itself names")
    if not home.memory.is_usable:
        problems.append("this machine cannot note what it saw of the index: a rollback would go unnoticed")
    can_all = document.identity is not None and home.key is not None and document.can_delete
    is_held = place.lock is LockStrength.ENFORCED and document.object_lock == "compliance"  # nobody can delete before it ends
    if can_all and document.is_offsite and not is_held:
        problems.append(
            "one machine can write, read and delete this off-site vault: who takes it over has all three; lock it"
            " (object_lock: compliance), or take from this machine the right to delete (can_delete: false) or the identity"
        )
    return VaultFacts(
        name=document.name,
        kind=document.kind,
        address=place.address,
        lock=place.lock,
        trust=home.trust,
        is_versioned=place.is_versioned,
        is_offsite=document.is_offsite,
        can_read=document.identity is not None,
        can_delete=document.can_delete,
        free_bytes=place.free_bytes,
        recipients=len(document.recipients),
        sets=sum("record" in one for one in live),
        log_files=sum("file" in one for one in live),
        bytes=sum(int(part["size"]) for one in live for part in objects_of(one)),
        last_entry_at=max((moment(state.at) for state in states if state.at), default=None),  # type: ignore[type-var]
        problems=tuple(problems),
    )
