"""What to do for a schedule at a moment: a pure rule."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dbre.core.operation.schedule.model import Misfire, Schedule, ScheduleState, Skipped

__all__ = ["Decision", "decide"]

_COUNTED = 1000  # slots of a downtime that are looked at one by one
_AHEAD = timedelta(days=1)  # a cursor further in the future was written by a clock that was wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do now."""

    run: datetime | None = None  # the slot to submit an operation for
    skipped: Skipped | None = None
    cursor: datetime | None = None  # the last slot that is decided herewith; None: none is
    next_at: datetime  # when to look again


def decide(schedule: Schedule, state: ScheduleState, now: datetime) -> Decision:
    """Judge the slots that have come since the last decision.

    At most one runs, however many came: several at once would do the same work several times. A schedule that is new, or
    whose expression was changed, begins with the first slot from now on; so does one whose cursor lies in the far future,
    which a clock that was wrong has left there.
    """
    if state.last_slot is None or state.definition != schedule.definition or state.last_slot > now + _AHEAD:
        return Decision(cursor=now, next_at=schedule.begins_at(schedule.cron.after(now)))
    due, count, coming = _due(schedule, state.last_slot, now)
    if due is None:
        return Decision(next_at=schedule.begins_at(coming))
    next_at = schedule.begins_at(coming)
    reason = _why_not(schedule, state, due, now)
    if reason is not None:
        return Decision(skipped=Skipped(slot=due, count=count, reason=reason), cursor=due, next_at=next_at)
    skipped = None
    if count > 1:
        reason = f"no scheduler ran in time; only the last slot of {_at_least(count)} runs"
        before = _before(schedule, state.last_slot, due)
        skipped = Skipped(slot=before, count=count - 1, reason=reason)
    return Decision(run=due, skipped=skipped, cursor=due, next_at=next_at)


def _due(schedule: Schedule, after: datetime, now: datetime) -> tuple[datetime | None, int, datetime]:
    """The last slot whose time has come, how many came, and the first whose time has not."""
    due, count = None, 0
    slot = schedule.cron.after(after)
    while schedule.begins_at(slot) <= now:
        due, count = slot, count + 1
        slot = schedule.cron.after(slot if count < _COUNTED else max(slot, now - schedule.jitter - timedelta(days=1)))
    return due, count, slot


def _why_not(schedule: Schedule, state: ScheduleState, due: datetime, now: datetime) -> str | None:
    if not schedule.is_enabled:
        return "the schedule is not enabled in the configuration"
    if state.is_suspended:
        return f"the schedule is suspended by {state.suspended_by or 'somebody'}"
    late = now - schedule.begins_at(due)
    if schedule.misfire is Misfire.SKIP and late > schedule.misfire_grace:
        grace = schedule.misfire_grace.total_seconds()
        return f"no scheduler ran in time: {late.total_seconds():.0f} s late, misfire_grace is {grace:g} s"
    return None


def _before(schedule: Schedule, after: datetime, due: datetime) -> datetime:
    """The slot before ``due``, or near it after a long downtime."""
    start = max(after, due - timedelta(days=1))
    found = start
    for number, slot in enumerate(schedule.cron.between(start, due - timedelta(seconds=1))):
        found = slot
        if number > 2 * _COUNTED:
            break
    return found


def _at_least(count: int) -> str:
    return f"{count}" if count < _COUNTED else f"at least {count}"
