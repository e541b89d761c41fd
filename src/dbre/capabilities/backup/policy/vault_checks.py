"""What is not as it should be with vaults themselves, whatever the cluster. Pure."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.model import EscrowTrial
from dbre.core.checks import Finding, Severity
from dbre.core.units import format_duration

__all__ = ["escrow_told", "examine_vaults"]


def examine_vaults(
    vaults: Sequence[VaultDocument], trials: Sequence[EscrowTrial], *, used: Collection[str], now: datetime
) -> Iterator[Finding]:
    """Findings on the vaults that hold something (``used``); ``trials`` are the newest first."""
    for vault in vaults:
        if vault.name in used and vault.escrow_age is not None:
            yield from _escrow(vault, trials, now)


def _escrow(vault: VaultDocument, trials: Sequence[EscrowTrial], now: datetime) -> Iterator[Finding]:
    mine = _of(vault, trials)
    fix = f"dbre vault escrow-drill {vault.name} --identity file:KEY, with the key from where it is kept"
    limit = vault.escrow_age
    if mine and not mine[0].is_opened:
        summary = f"the escrow identity did not open what is stored, tried at {mine[0].at:%Y-%m-%d %H:%MZ}: {mine[0].reason}"
        yield _finding(vault, "escrow_failed", Severity.ERROR, summary, fix)
        return
    opened = [one for one in mine if one.is_opened]
    if not opened:
        summary = "its escrow identity was never tried: on the day when nothing else is left, it may open nothing"
        yield _finding(vault, "escrow_untried", Severity.WARNING, summary, fix)
    elif limit is not None and now - opened[0].at > limit:
        age = format_duration((now - opened[0].at).total_seconds())
        summary = f"its escrow identity was tried {age} ago; escrow_age is {format_duration(limit.total_seconds())}"
        yield _finding(vault, "escrow_untried", Severity.WARNING, summary, fix)


def escrow_told(vault: VaultDocument, trials: Sequence[EscrowTrial]) -> str:
    """What is known of the escrow identity of a vault, as a sentence beside a proof."""
    mine = _of(vault, trials)
    if not mine:
        return f"vault {vault.name}: its escrow identity was never tried (dbre vault escrow-drill {vault.name})"
    one = mine[0]
    said = "opened the newest sets" if one.is_opened else f"did not open what is stored: {one.reason}"
    return f"vault {vault.name}: escrow identity {one.recipient[:12]}... {said} at {one.at:%Y-%m-%d %H:%MZ}"


def _of(vault: VaultDocument, trials: Sequence[EscrowTrial]) -> list[EscrowTrial]:
    """Those with a key that counts today."""
    return [one for one in trials if one.vault == vault.name and one.recipient in vault.recipients]


def _finding(vault: VaultDocument, rule: str, severity: Severity, summary: str, fix: str) -> Finding:
    return Finding(
        rule=f"backup.{rule}",
        severity=severity,
        subject=f"vault {vault.name}",
        summary=summary,
        fix=fix,
        evidence={"vault": vault.name},
    )
