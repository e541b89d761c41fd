"""Members of a chain: fetched from a vault that has them, and verified before anything is made of them."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from dbre.capabilities.backup.model import BackupSet
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.sources import SourceVault
from dbre.capabilities.backup.restoring.staging import Staging, give_tree, remove_tree
from dbre.capabilities.backup.restoring.telling import Tell, progress_of
from dbre.core.errors import DbreError
from dbre.core.text import counted, printable
from dbre.ports.backup.engine import BackupPort, CopyProgress
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import CopyFacts, CopyFault, LogPosition, Phase

__all__ = ["fetch_members", "fetched_note", "has_members", "member_paths", "verify_members"]

_SHOWN_FAULTS = 5


def member_paths(plan: RestorePlan, staging: Staging) -> list[Path]:
    """Where the members lie once they are fetched, the full copy first."""
    return [staging.sets / one.id for one in plan.chain]


def fetched_note(one: BackupSet) -> str:
    """The note that says that a member was fetched and is as it was."""
    return f"fetched-{one.id}"


async def has_members(plan: RestorePlan, staging: Staging) -> bool:
    """Whether every member lies there as it was fetched: the only one of a chain becomes the data directory."""
    return all([await staging.read_note(fetched_note(one)) is not None for one in plan.chain])


async def fetch_members(
    plan: RestorePlan, staging: Staging, vaults: Sequence[SourceVault], tell: Tell | None = None
) -> list[Phase]:
    """Fetch every member that is not there yet, each from the first vault that holds it and gives it.

    Raises: what the last of its vaults raised; CopyDamaged among them.
    """
    phases, total, before = [], plan.bytes_stored, 0
    for one in plan.chain:
        size = one.bytes_source if one.bytes_stored is None else one.bytes_stored
        if await staging.read_note(fetched_note(one)) is None:
            began = time.monotonic()
            progress = progress_of(tell, "fetch", before=before, total=total)
            await _fetch_one(one, staging, vaults, progress)
            phases.append(Phase(name="fetch", seconds=time.monotonic() - began, bytes=size))
        before += size
    return phases


async def _fetch_one(one: BackupSet, staging: Staging, vaults: Sequence[SourceVault], progress: CopyProgress) -> None:
    target = staging.sets / one.id
    problem: DbreError | None = None
    for vault in (vault for vault in vaults if vault.name in one.vaults):
        await asyncio.to_thread(_make_empty, target)
        try:
            await vault.fetch_set(one.id, target, progress)
        except DbreError as error:  # another vault may have it whole; if none has, this is what is told
            problem = error
            continue
        await asyncio.to_thread(give_tree, target, staging.account)
        await staging.write_note(fetched_note(one), {"vault": vault.name})
        return
    raise problem or CopyDamaged(
        f"set {one.id} lies in {', '.join(one.vaults) or 'no vault'}, and none of these is open",
        hint="dbre vault list shows the vaults; --vault chooses one",
    )


def _make_empty(target: Path) -> None:
    remove_tree(target)
    target.mkdir(mode=0o700)


async def verify_members(plan: RestorePlan, staging: Staging, port: BackupPort, tell: Tell | None = None) -> list[Phase]:
    """Compare every member with its manifest, and with what was written down when it was made (level L1).

    pg_combinebackup launders damage: what it makes of a damaged member verifies (backup.md 4.6), so this comes before it.

    Raises: CopyDamaged naming each fault.
    """
    phases: list[Phase] = []
    faults: list[tuple[str, CopyFault]] = []
    done = 0
    for one, path in zip(plan.chain, member_paths(plan, staging), strict=True):
        verified = await port.verify(path)
        faults += [(one.id, fault) for fault in verified.faults]
        if verified.is_good:
            facts = await port.facts(path)
            faults += [(one.id, fault) for fault in await asyncio.to_thread(_differences, one, facts)]
        phases.append(Phase(name="verify", seconds=verified.seconds, bytes=verified.bytes))
        done += verified.bytes
        if tell is not None:
            await tell("verify", done, plan.bytes_copy)
    if faults:
        raise _damaged(faults)
    return phases


def _differences(one: BackupSet, facts: CopyFacts) -> list[CopyFault]:
    """What a whole and consistent copy has that the set did not have: it is another copy."""
    found = []
    if facts.system_id != one.system_id:
        detail = f"the copy is of system {facts.system_id}, the set of {one.system_id}"
        found.append(CopyFault(rule="wrong_system", subject=one.id, detail=detail))
    for word, has, had in (("start", facts.start, one.start), ("stop", facts.stop, one.stop)):
        if has is not None and had is not None and has != had:
            detail = f"the copy's {word} is {_text(has)}, the set's {_text(had)}"
            found.append(CopyFault(rule="wrong_set", subject=one.id, detail=detail))
    if facts.manifest is not None and one.manifest_sha256 is not None:
        digest = hashlib.sha256(facts.manifest.read_bytes()).hexdigest()
        if digest != one.manifest_sha256:
            detail = f"its SHA-256 is {digest[:16]}..., and was {one.manifest_sha256[:16]}... when the set was made"
            found.append(CopyFault(rule="manifest", subject=facts.manifest.name, detail=detail))
    return found


def _text(position: LogPosition) -> str:
    return f"{printable(position.text, limit=60)} of timeline {position.timeline}"


def _damaged(faults: Sequence[tuple[str, CopyFault]]) -> CopyDamaged:
    shown = [
        f"set {set_id}: {fault.rule} {printable(fault.subject, limit=120)}: {printable(fault.detail, limit=200)}"
        for set_id, fault in faults[:_SHOWN_FAULTS]
    ]
    more = f"; and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
    return CopyDamaged(
        f"{counted(len(faults), 'fault')} in what was fetched: {'; '.join(shown)}{more}",
        hint="nothing was made of it; choose another vault (--vault) or an older set (--set), and see: dbre vault verify",
        context={
            "faults": [
                {"set": set_id, "rule": fault.rule, "subject": printable(fault.subject), "detail": printable(fault.detail)}
                for set_id, fault in faults[:1_000]
            ]
        },
    )
