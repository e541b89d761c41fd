"""From rules, catalog and time to a plan: what is kept, marked, deleted, each with its reason. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from dbre.capabilities.backup.documents import RetentionDocument
from dbre.capabilities.backup.model import BackupSet, Catalog, SetState
from dbre.capabilities.backup.retention.log_rules import decide_logs
from dbre.capabilities.backup.retention.plan import Fate, Objection, RetentionPlan, SetDecision
from dbre.capabilities.backup.retention.rules import by_age, kept_by_rules
from dbre.core.moments import moment_from
from dbre.core.text import counted
from dbre.core.units import format_duration, format_percent

__all__ = ["TOMBSTONED_AT", "plan_retention", "tombstoned_at"]

TOMBSTONED_AT = "tombstoned_at"
"""The key in a set's details under which the moment of its tombstone is kept."""

_USABLE = frozenset({SetState.SEALED, SetState.TOMBSTONED})
_WORTHLESS = frozenset({SetState.ORPHANED, SetState.FAILED})


def tombstoned_at(one: BackupSet) -> datetime | None:
    """When a set was marked; None: it is not known."""
    found = one.details.get(TOMBSTONED_AT)
    return moment_from(found) if isinstance(found, str) else None


def plan_retention(
    cluster: str,
    catalog: Catalog,
    rules: RetentionDocument,
    *,
    now: datetime,
    in_use: Mapping[str, str] = MappingProxyType({}),
) -> RetentionPlan:
    """Decide on every set and log file of a cluster; ``in_use`` are sets that something reads now, and what.

    Neither these nor what they stand on are marked or deleted, nor log from there on. A set that is marked protects its log
    until it is deleted, so that a hold in the grace brings all of it back.
    """
    usable = [one for one in catalog.sets if one.state in _USABLE]
    reasons = kept_by_rules(usable, rules, catalog, now=now)
    _keep_below_locks(usable, reasons, now)
    used = _closed(in_use, usable)
    decisions = [
        _spared(_decision(one, reasons.get(one.id, ()), rules, now), used.get(one.id))
        for one in by_age(catalog.sets)
        if one.state is not SetState.DELETED
    ]
    logs = decide_logs(catalog, decisions, rules, now=now, in_use=frozenset(used))
    plan = RetentionPlan(cluster=cluster, sets=tuple(decisions), logs=logs, objections=())
    return RetentionPlan(cluster=cluster, sets=plan.sets, logs=plan.logs, objections=_objections(plan, rules))


def _closed(in_use: Mapping[str, str], usable: list[BackupSet]) -> dict[str, str]:
    """Sets in use, and all on which they stand."""
    known, found = {one.id: one for one in usable}, dict(in_use)
    for set_id, words in in_use.items():
        one = known.get(set_id)
        while one is not None and one.parent_id is not None and one.parent_id not in found:
            found[one.parent_id] = words
            one = known.get(one.parent_id)
    return found


def _spared(one: SetDecision, used: str | None) -> SetDecision:
    """What is read just now stays as it is: a mark would end a restore in its middle."""
    if used is None or one.fate not in (Fate.TOMBSTONE, Fate.DELETE):
        return one
    fate = Fate.IN_GRACE if one.set.state is SetState.TOMBSTONED else Fate.KEEP
    return SetDecision(set=one.set, fate=fate, reasons=(used,))


def _keep_below_locks(usable: list[BackupSet], reasons: dict[str, tuple[str, ...]], now: datetime) -> None:
    """What cannot be deleted yet keeps what it stands on: half a chain is worth nothing."""
    known = {one.id: one for one in usable}
    for one in usable:
        if one.id in reasons or not _is_locked(one, now):
            continue
        parent = one.parent_id
        while parent is not None and parent in known:
            reasons.setdefault(parent, (f"needed by {one.id}, which is locked",))
            parent = known[parent].parent_id


def _is_locked(one: BackupSet, now: datetime) -> bool:
    return one.lock_until is not None and one.lock_until > now


def _decision(one: BackupSet, reasons: tuple[str, ...], rules: RetentionDocument, now: datetime) -> SetDecision:
    fate, words = _fate(one, reasons, rules.grace, now)
    return SetDecision(set=one, fate=fate, reasons=words)


def _fate(one: BackupSet, reasons: tuple[str, ...], grace: timedelta, now: datetime) -> tuple[Fate, tuple[str, ...]]:
    locked = f"locked until {one.lock_until:%Y-%m-%d %H:%MZ}" if one.lock_until is not None and _is_locked(one, now) else None
    if one.state in _WORTHLESS:
        if one.hold is not None:
            return Fate.KEEP, (f"held: {one.hold}",)
        return (Fate.RETAINED_BY_LOCK, (locked,)) if locked else (Fate.COLLECT, ("it never became a set",))
    if one.state not in _USABLE:
        return Fate.KEEP, (f"it is being made: {one.state}",)
    is_marked = one.state is SetState.TOMBSTONED
    if reasons:
        return (Fate.REVIVE if is_marked else Fate.KEEP), reasons
    if locked is not None and not is_marked:
        return Fate.RETAINED_BY_LOCK, (locked,)
    if not is_marked:
        return Fate.TOMBSTONE, (f"no rule keeps it; it is deleted {format_duration(grace.total_seconds())} after it is marked",)
    since = tombstoned_at(one)
    if since is None:
        return Fate.TOMBSTONE, ("nobody knows when it was marked, so it is marked again",)
    if since + grace > now:
        return Fate.IN_GRACE, (f"marked; in its grace until {since + grace:%Y-%m-%d %H:%MZ}",)
    if locked is not None:
        return Fate.RETAINED_BY_LOCK, (locked,)
    return Fate.DELETE, (f"marked at {since:%Y-%m-%d %H:%MZ}, and its grace is over",)


def _objections(plan: RetentionPlan, rules: RetentionDocument) -> tuple[Objection, ...]:
    gone = [one for one in plan.having(Fate.TOMBSTONE) if one.state is SetState.SEALED]
    found = []
    alive = [one for one in plan.sets if one.set.state is SetState.SEALED]
    share = len(gone) / len(alive) if alive else 0.0
    if share > rules.largest_share:
        found.append(
            Objection(
                rule="backup.expiry_share",
                message=f"{len(gone)} of {counted(len(alive), 'set')} would go at once ({format_percent(share, digits=0)});"
                f" retention.largest_share is {format_percent(rules.largest_share, digits=0)}",
                hint="see why: dbre backup retention; is it meant, add --accept-share",
            )
        )
    is_removing = bool(plan.having(Fate.TOMBSTONE, Fate.DELETE))
    if is_removing and not any(one.is_kept and one.set.proven_at is not None for one in plan.sets):
        found.append(
            Objection(
                rule="backup.expiry_unproven",
                message="sets would go, and none of those that stay was ever proved by a drill",
                hint=f"prove one: dbre backup drill {plan.cluster}; is it meant without, add --accept-unproven",
            )
        )
    return tuple(found)
