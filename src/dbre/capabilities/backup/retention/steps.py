"""From a retention plan to the steps of its operation. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.backup.model import BackupSet, StoredLog
from dbre.capabilities.backup.retention.plan import Fate, RetentionPlan
from dbre.capabilities.backup.taking.planning import lock_target
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.core.text import counted

__all__ = ["MOST_LOGS", "expiry_plan", "logs_by_system"]

MOST_LOGS = 5_000
"""Log files that one operation deletes: its plan is read by people, and hashed. The next one goes on."""

_REASON = "the retention no longer keeps it"
_TOUCHED = {
    Fate.TOMBSTONE: "marked for deletion",
    Fate.DELETE: "deleted",
    Fate.COLLECT: "deleted",
    Fate.REVIVE: "sealed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doomed:
    """What is deleted now, where all of its vaults let us."""

    sets: tuple[BackupSet, ...]
    logs: tuple[StoredLog, ...]
    warnings: tuple[str, ...]


def expiry_plan(found: RetentionPlan, orphans: Sequence[BackupSet], can_delete: Mapping[str, bool]) -> Plan:
    """The plan of ``backup.expire``; ``can_delete`` says of each configured vault whether its credentials may."""
    marked, revived = found.having(Fate.TOMBSTONE), found.having(Fate.REVIVE)
    doomed = _doomed(found, can_delete)
    steps = [
        *_orphan_steps(found.cluster, orphans),
        *_revive_steps(found.cluster, revived),
        *_tombstone_steps(found.cluster, marked),
        *_delete_steps(found.cluster, doomed),
    ]
    changes = [
        Change(subject=f"set {one.set.id}", before=one.set.state.value, after=f"{_TOUCHED[one.fate]}: {'; '.join(one.reasons)}")
        for one in found.sets
        if one.fate in _TOUCHED
    ]
    if doomed.logs:
        changes.append(Change(subject="log", before=counted(len(doomed.logs), "file"), after="deleted: " + _log_reasons(found)))
    locked = found.having(Fate.RETAINED_BY_LOCK)
    warnings = [
        *doomed.warnings,
        *(f"{counted(len(locked), 'set')} that no rule keeps stay until their locks end",) * bool(locked),
    ]
    return Plan(
        target=lock_target(found.cluster),
        summary=_summary(found.cluster, marked, doomed, revived),
        steps=tuple(steps),
        risk=Risk.MODERATE if steps else Risk.READ,
        changes=tuple(changes),
        blast_radius=("moments before the oldest kept set can no longer be recovered",) if marked or doomed.sets else (),
        warnings=tuple(warnings),
        observed={
            "cluster": found.cluster,
            "kept": [one.set.id for one in found.sets if one.fate is Fate.KEEP and one.set.vaults],
        },
        tags=("retention",),
    )


def logs_by_system(logs: Iterable[StoredLog]) -> dict[str, list[str]]:
    """Names of log files by the system that wrote them."""
    found: dict[str, list[str]] = {}
    for one in logs:
        found.setdefault(one.system_id, []).append(one.file.name)
    return found


def _doomed(found: RetentionPlan, can_delete: Mapping[str, bool]) -> _Doomed:
    """Leave out what lies in a vault that does not let us, or that is not configured any more: it is not gone then."""

    def is_free(vaults: Collection[str]) -> bool:
        return all(can_delete.get(name, False) for name in vaults)

    sets = found.having(Fate.DELETE, Fate.COLLECT)
    logs = found.doomed_logs
    free_sets = tuple(one for one in sets if is_free(one.vaults))
    free_logs = tuple(one for one in logs if is_free(one.vaults))
    warnings = []
    if len(free_sets) < len(sets) or len(free_logs) < len(logs):
        warnings.append(
            f"{counted(len(sets) - len(free_sets), 'set')} and {counted(len(logs) - len(free_logs), 'log file')} lie in vaults"
            " from which this installation cannot delete (can_delete, or not configured)"
        )
    if len(free_logs) > MOST_LOGS:
        warnings.append(f"{len(free_logs) - MOST_LOGS} more log files go with the next expiry")
    return _Doomed(sets=free_sets, logs=free_logs[:MOST_LOGS], warnings=tuple(warnings))


def _orphan_steps(cluster: str, orphans: Sequence[BackupSet]) -> Iterable[Step]:
    if orphans:
        given = {"cluster": cluster, "sets": [one.id for one in orphans]}
        yield Step("collect-orphans", summary=f"give up {counted(len(orphans), 'set')} whose operation is gone", input=given)


def _revive_steps(cluster: str, revived: Sequence[BackupSet]) -> Iterable[Step]:
    for vault in sorted({name for one in revived for name in one.vaults}):
        ids = [one.id for one in revived if vault in one.vaults]
        given = {"cluster": cluster, "vault": vault, "sets": ids, "reason": "a rule keeps it again"}
        yield Step(f"revive:{vault}", summary=f"take {counted(len(ids), 'mark')} in vault {vault} back", input=given)
    if revived:
        given = {"cluster": cluster, "sets": [one.id for one in revived]}
        yield Step("note-revived", summary=f"keep {counted(len(revived), 'marked set')} again", input=given)


def _tombstone_steps(cluster: str, marked: Sequence[BackupSet]) -> Iterable[Step]:
    for vault in sorted({name for one in marked for name in one.vaults}):
        ids = [one.id for one in marked if vault in one.vaults]
        given = {"cluster": cluster, "vault": vault, "sets": ids, "reason": _REASON}
        yield Step(f"tombstone:{vault}", summary=f"mark {counted(len(ids), 'set')} in vault {vault}", input=given)
    if marked:
        given = {"cluster": cluster, "sets": [one.id for one in marked]}
        yield Step("note-tombstones", summary="note when they were marked: their grace begins", input=given)


def _delete_steps(cluster: str, doomed: _Doomed) -> Iterable[Step]:
    """Increments before what they stand on: a half of this leaves no chain without its beginning."""
    newest_first = sorted(doomed.sets, key=lambda one: (one.started_at, one.id), reverse=True)
    vaults = {name for one in doomed.sets for name in one.vaults} | {name for one in doomed.logs for name in one.vaults}
    for vault in sorted(vaults):
        ids = [one.id for one in newest_first if vault in one.vaults]
        logs = logs_by_system(one for one in doomed.logs if vault in one.vaults)
        count = sum(len(names) for names in logs.values())
        given: dict[str, Any] = {"cluster": cluster, "vault": vault, "sets": ids, "logs": logs, "reason": _REASON}
        summary = f"delete {counted(len(ids), 'set')} and {counted(count, 'log file')} from vault {vault}"
        yield Step(f"delete:{vault}", summary=summary, input=given, irreversible=True)
    if doomed.sets or doomed.logs:
        given = {"cluster": cluster, "sets": [one.id for one in newest_first], "logs": logs_by_system(doomed.logs)}
        yield Step("forget", summary="note it in the catalog", input=given)


def _log_reasons(found: RetentionPlan) -> str:
    return ", ".join(sorted({one.reason for one in found.logs if not one.is_kept}))


def _summary(cluster: str, marked: Sequence[BackupSet], doomed: _Doomed, revived: Sequence[BackupSet]) -> str:
    parts = [
        f"mark {counted(len(marked), 'set')}" if marked else "",
        f"delete {counted(len(doomed.sets), 'set')}" if doomed.sets else "",
        f"delete {counted(len(doomed.logs), 'log file')}" if doomed.logs else "",
        f"revive {counted(len(revived), 'set')}" if revived else "",
    ]
    return f"{', '.join(one for one in parts if one) or 'delete nothing'} of {cluster}"
