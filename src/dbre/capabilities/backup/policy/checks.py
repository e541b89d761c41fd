"""What is not as a policy wants it: findings on one cluster. Pure: catalog, time and forecast are given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbre.capabilities.backup.documents import PolicyDocument, VaultDocument
from dbre.capabilities.backup.model import BackupSet, Catalog, SetState
from dbre.capabilities.backup.policy.chain import chain_of
from dbre.capabilities.backup.policy.promotions import lacks_full
from dbre.capabilities.backup.policy.recipients import former_recipients, shut_out, why_shut_out
from dbre.capabilities.backup.restoring.lineage import newest_timeline
from dbre.capabilities.backup.retention.rules import by_age, is_whole
from dbre.core.checks import Finding, Severity
from dbre.core.operation.schedule.slots import Cron, parse_zone
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes, format_duration, format_percent
from dbre.ports.backup.model import ChecksumState

__all__ = ["Examined", "examine_cluster", "unprotected"]

_DAY = timedelta(days=1)
_PATIENCE = timedelta(hours=2)
"""How much later than its slot a copy may be there: it takes its time, and waits for its turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """All that is looked at."""

    cluster: str
    policy: PolicyDocument
    catalog: Catalog
    vaults: Sequence[VaultDocument]
    now: datetime
    restore_seconds: float | None = None  # forecast; None: not known

    @property
    def sealed(self) -> list[BackupSet]:
        """Sets that can be restored from, the oldest first."""
        return by_age(one for one in self.catalog.sets if one.state is SetState.SEALED)


def unprotected(cluster: str) -> Finding:
    """A cluster that no policy selects."""
    return Finding(
        rule="backup.no_policy",
        severity=Severity.WARNING,
        subject=cluster,
        summary="no backup policy selects it, so nothing of it is copied",
        fix="add a policy to backup.policies of dbre.yaml that selects it",
    )


def examine_cluster(look: Examined) -> list[Finding]:
    """Everything that is not as the policy of a cluster wants it."""
    found = [*_vaults(look), *_age(look), *_offsite(look), *_attempts(look), *_gaps(look)]
    if look.sealed:
        found += [*_recipients(look), *_chain(look), *_line(look), *_proof(look), *_newest(look)]
    return [*found, *_forecast(look)]


def _vaults(look: Examined) -> Iterator[Finding]:
    known = {one.name for one in look.vaults}
    for name in look.policy.vaults:
        if name not in known:
            summary = f"policy {look.policy.name} names vault {name}, and there is none: no set can be sealed"
            yield _finding(look, "unknown_vault", Severity.CRITICAL, summary, "add it under vaults: of dbre.yaml", vault=name)


def _age(look: Examined) -> Iterator[Finding]:
    sealed, policy = look.sealed, look.policy
    if not sealed:
        summary = "there is no sealed set: nothing of it can be restored"
        yield _finding(look, "never", Severity.CRITICAL, summary, f"dbre backup take {look.cluster}")
        return
    whole = [one for one in sealed if is_whole(one)]
    for words, rule, cron, sets in (
        ("full set", "overdue_full", policy.full_cron, whole),
        ("set", "overdue", policy.incremental_cron, sealed),
    ):
        if cron is None or not sets:
            continue
        newest = sets[-1]
        due = Cron.parse(cron, parse_zone(policy.time_zone)).after(newest.started_at)
        if look.now > due + _PATIENCE:
            summary = (
                f"the newest {words} is {_ago(look.now - newest.started_at)} old; one was due at {due:%Y-%m-%d %H:%MZ},"
                f" {_ago(look.now - due)} ago"
            )
            yield _finding(look, rule, Severity.ERROR, summary, f"dbre backup take {look.cluster}", set=newest.id)


def _offsite(look: Examined) -> Iterator[Finding]:
    """Every data set a copy a day, verified, away from the databases."""
    if not look.policy.daily_verified_offsite:
        return
    offsite = {one.name for one in look.vaults if one.is_offsite}
    chosen = [name for name in look.policy.vaults if name in offsite]
    if not chosen:
        summary = f"daily_verified_offsite is wanted, and none of the vaults {', '.join(look.policy.vaults)} is off-site"
        yield _finding(look, "not_offsite", Severity.ERROR, summary, "add a vault with is_offsite: true to the policy")
        return
    there = [one for one in look.sealed if offsite & set(one.vaults)]
    newest = there[-1] if there else None
    if newest is None or look.now - newest.started_at > _DAY + _PATIENCE:
        age = "there is none at all" if newest is None else f"the newest is {_ago(look.now - newest.started_at)} old"
        summary = f"a verified set a day is wanted off-site ({', '.join(chosen)}), and {age}"
        yield _finding(look, "not_daily_offsite", Severity.ERROR, summary, f"dbre backup take {look.cluster}")


def _attempts(look: Examined) -> Iterator[Finding]:
    tried = by_age(one for one in look.catalog.sets if one.state in {SetState.SEALED, SetState.FAILED, SetState.ORPHANED})
    failed = 0
    for one in reversed(tried):
        if one.state is SetState.SEALED:
            break
        failed += 1
    if failed:
        last = tried[-1]
        fix = f"dbre op show {last.operation_id}" if last.operation_id is not None else f"dbre backup take {look.cluster}"
        summary = f"the last {counted(failed, 'attempt')} to copy it failed, the newest at {last.started_at:%Y-%m-%d %H:%MZ}"
        severity = Severity.WARNING if failed == 1 else Severity.ERROR
        yield _finding(look, "failed", severity, summary, fix, attempts=failed)


def _gaps(look: Examined) -> Iterator[Finding]:
    for one in look.catalog.gaps:
        if one.ended_at is None:
            reason = printable(one.reason, limit=200)
            summary = f"log is missing on timeline {one.timeline} since {one.began_at:%Y-%m-%d %H:%MZ}: {reason}"
            yield _finding(look, "gap", Severity.CRITICAL, summary, printable(one.remedy, limit=200), gap=str(one.id))


def _chain(look: Examined) -> Iterator[Finding]:
    chain = chain_of(look.catalog, look.sealed[-1])
    full, increments = chain[0], chain[1:]
    fix = f"dbre backup take {look.cluster} --kind full"
    if not is_whole(full) or any(one.state is not SetState.SEALED for one in chain):
        summary = f"set {chain[-1].id} stands on a set that is not there any more"
        yield _finding(look, "broken_chain", Severity.CRITICAL, summary, fix, set=chain[-1].id)
        return
    grown = sum(one.bytes_source for one in increments)
    if len(increments) > look.policy.longest_chain:
        summary = f"the newest chain has {counted(len(increments), 'increment')}; longest_chain is {look.policy.longest_chain}"
        yield _finding(look, "long_chain", Severity.WARNING, summary, fix, increments=len(increments))
    elif full.bytes_source and grown > look.policy.largest_chain_ratio * full.bytes_source:
        share = format_percent(grown / full.bytes_source, digits=0)
        limit = format_percent(look.policy.largest_chain_ratio, digits=0)
        summary = (
            f"the increments of the newest chain hold {format_bytes(grown)}, {share} of their full set;"
            f" largest_chain_ratio is {limit}"
        )
        yield _finding(look, "large_chain", Severity.WARNING, summary, fix, bytes=grown)


def _line(look: Examined) -> Iterator[Finding]:
    """A promotion that no full copy followed."""
    system_id = look.sealed[-1].system_id
    timeline = newest_timeline(look.catalog, system_id)
    if lacks_full(look.catalog.sets, system_id=system_id, timeline=timeline, now=look.now):
        summary = f"it goes on along timeline {timeline}, and every full set lies on an earlier one: it was promoted since"
        fix = f"dbre backup take {look.cluster} --kind full"
        yield _finding(look, "no_full_since_promotion", Severity.WARNING, summary, fix, timeline=timeline)


def _recipients(look: Examined) -> Iterator[Finding]:
    """Keys that were changed: the copies of before are still those that they were."""
    chain = chain_of(look.catalog, look.sealed[-1])
    why = why_shut_out(chain, look.vaults, look.policy.vaults)
    if why is not None:
        fix = f"dbre backup take {look.cluster} --kind full"
        yield _finding(look, "shut_out", Severity.ERROR, why, fix, set=chain[-1].id)
    for vault in (one for one in look.vaults if one.name in look.policy.vaults):
        there = [one for one in look.sealed if vault.name in one.vaults]
        old = [one for one in there if shut_out(one, vault)]
        if old and why is None:
            summary = (
                f"copies of {old[-1].started_at:%Y-%m-%d %H:%MZ} and before in vault {vault.name} cannot be opened by"
                f" {shut_out(old[-1], vault)[0]}: they were stored before it was named"
            )
            fix = "keep the old key until they have expired; or: dbre vault copy SET --from VAULT --to ANOTHER"
            yield _finding(look, "old_recipients", Severity.INFO, summary, fix, sets=len(old), vault=vault.name)
        former = [one for one in there if former_recipients(one, vault)]
        if former:
            who = former_recipients(former[-1], vault)[0]
            summary = (
                f"{who} is no recipient of vault {vault.name} any more, and still opens {counted(len(former), 'set')} there"
            )
            fix = "where that key fell into wrong hands, they are known to others: they go only with their expiry"
            yield _finding(look, "former_recipient", Severity.INFO, summary, fix, sets=len(former), vault=vault.name)


def _proof(look: Examined) -> Iterator[Finding]:
    limit = look.policy.drill.proof_age
    proofs = [one.proven_at for one in look.catalog.sets if one.proven_at is not None]
    fix = f"dbre backup drill {look.cluster}"
    if not proofs:
        yield _finding(look, "unproven", Severity.ERROR, "no drill ever restored a set of it", fix)
    elif look.now - max(proofs) > limit:
        summary = f"the newest proof is {_ago(look.now - max(proofs))} old; proof_age is {_ago(limit)}"
        yield _finding(look, "unproven", Severity.ERROR, summary, fix, proven_at=max(proofs).isoformat())


def _newest(look: Examined) -> Iterator[Finding]:
    newest = look.sealed[-1]
    if newest.checksums is ChecksumState.BAD:
        summary = f"set {newest.id} holds pages whose checksums do not fit: the source is damaged"
        fix = "dbre integrity check; keep the sets before it: dbre backup hold SET --reason TEXT"
        yield _finding(look, "damaged_pages", Severity.CRITICAL, summary, fix, set=newest.id)
    for one in newest.details.get("anomalies", ()):
        if newest.checksums is ChecksumState.BAD and "checksums" in str(one):
            continue
        summary = f"set {newest.id}: {printable(str(one), limit=300)}"
        fix = "look what changed; hold an older set until it is clear: dbre backup hold SET --reason TEXT"
        yield _finding(look, "size_jump", Severity.WARNING, summary, fix, set=newest.id)


def _forecast(look: Examined) -> Iterator[Finding]:
    objective = look.policy.recovery_time.total_seconds()
    if look.restore_seconds is not None and look.restore_seconds > objective:
        summary = (
            f"a restore is forecast to take at least {format_duration(look.restore_seconds)}; the objective is"
            f" {format_duration(objective)}"
        )
        fix = f"see why: dbre backup forecast {look.cluster}; a full copy shortens a chain"
        yield _finding(
            look, "forecast", Severity.ERROR, summary, fix, seconds=look.restore_seconds, objective_seconds=objective
        )


def _finding(look: Examined, rule: str, severity: Severity, summary: str, fix: str, **evidence: object) -> Finding:
    return Finding(
        rule=f"backup.{rule}",
        severity=severity,
        subject=look.cluster,
        summary=summary,
        fix=fix,
        evidence={"policy": look.policy.name, **evidence},
    )


def _ago(span: timedelta) -> str:
    return format_duration(span.total_seconds())
