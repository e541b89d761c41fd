"""Whether recovery ended where it should have: level L3, from what the server says and from what the clock samples know."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.drilling.levels import failed, passed
from dbre.capabilities.backup.drilling.order import DrillOrder
from dbre.capabilities.backup.log.clock_map import ClockMap
from dbre.capabilities.backup.log.gaps import Span
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.core.text import printable
from dbre.ports.backup.model import LogPosition, RecoveryOutcome, TargetKind
from dbre.ports.restored_checks import RestoredResult

__all__ = ["due_position", "held_position", "known_until", "recovery_point_seconds", "result_of_recovery"]

_PAGE = 8192
"""A sample may name the first place behind the header of a page, where no record ends: so far behind the last record."""


def due_position(plan: RestorePlan, order: DrillOrder, samples: Sequence[ClockSample], line: Sequence[Span]) -> int | None:
    """How far replay must come at least: the set's own end, and every sampled position before the target; None: no log."""
    newest = plan.newest
    if newest.stop is None or plan.end is None:
        return None
    due = newest.stop.value
    clock = ClockMap.along(samples, line, system_id=plan.system_id)
    if order.target.kind is TargetKind.TIME and order.target.at is not None:
        before, _ = clock.value_at(order.target.at)
        due = max(due, min(before, plan.end.value) if before is not None else due)
    if order.target.kind is TargetKind.LATEST:
        held = [value for value in clock.values if value <= plan.end.value]
        due = max([due, *held[-1:]])
    if order.target.kind is TargetKind.POSITION and order.position is not None:
        due = max(due, min(order.position.value, plan.end.value))
    return due


def result_of_recovery(plan: RestorePlan, order: DrillOrder, outcome: RecoveryOutcome, due: int | None) -> RestoredResult:
    """The result of level L3: the reason must be the target's, and the position at least where the target is known to lie."""
    reason = printable(outcome.reason, limit=400) or "the server says nothing"
    at = printable(outcome.position.text, limit=80) if outcome.position is not None else "a position that is not known"
    evidence: dict[str, Any] = {
        "reason": reason,
        "position": at,
        "last_commit_at": outcome.last_commit_at.isoformat() if outcome.last_commit_at else None,
        "timeline": outcome.timeline,
        "is_jailed": outcome.is_jailed,
        "jail": {printable(name, limit=80): printable(value, limit=200) for name, value in outcome.jail.items()},
    }
    ends_with_log = order.target.kind in (TargetKind.LATEST, TargetKind.IMMEDIATE) or plan.may_end_with_log
    if not outcome.has_reached_target and not ends_with_log:
        return failed("L3", "recovery", f"recovery ended before the target, at {at}: {reason}", **evidence)
    is_short = due is not None and outcome.position is not None and outcome.position.value + _PAGE < due
    if is_short and due is not None and outcome.position is not None:
        lacking = due - outcome.position.value
        detail = f"recovery ended at {at}, {lacking} B before where the log is known to have been: {reason}"
        return failed("L3", "recovery", detail, lacking_bytes=lacking, **evidence)
    where = "in a jail without network" if outcome.is_jailed else "without a network namespace of its own"
    return passed("L3", "recovery", f"came to {_target(order)} at {at} {where}: {reason}", **evidence)


def known_until(
    outcome: RecoveryOutcome,
    samples: Sequence[ClockSample],
    line: Sequence[Span],
    *,
    system_id: str,
    canary_at: datetime | None,
) -> datetime | None:
    """The newest moment up to which everything is known to have come back; None: nobody can tell."""
    clock = ClockMap.along(samples, line, system_id=system_id)
    sampled = clock.all_before(outcome.position.value) if outcome.position is not None else None
    return max((one for one in (canary_at, outcome.last_commit_at, sampled) if one is not None), default=None)


def recovery_point_seconds(order: DrillOrder, until: datetime | None) -> float | None:
    """The recovery point that was achieved: from there to the target, or to when the drill was asked for."""
    if until is None or order.target.kind is TargetKind.IMMEDIATE:
        return None
    wanted = order.target.at or order.asked_at
    return max(0.0, (wanted - until).total_seconds())


def _target(order: DrillOrder) -> str:
    if order.target.at is not None:
        return f"{order.target.at:%Y-%m-%d %H:%M:%S.%f}Z"
    return (
        printable(order.target.value, limit=100) if order.target.value is not None else f"the {order.target.kind.value} state"
    )


def held_position(plan: RestorePlan, order: DrillOrder, outcome: RecoveryOutcome) -> LogPosition | None:
    """Up to where acknowledged changes must be there: the end of the log, or where a target without a moment was found."""
    if order.target.kind in (TargetKind.TIME, TargetKind.LATEST):
        return plan.end
    return outcome.position
