"""The gate ``freeze-window``: no changes while a freeze lasts, and none outside of change windows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dbre.core.gates.calendar import Calendar, Standing
from dbre.core.gates.model import GateDecision, GateQuestion, GateVerdict, Moment
from dbre.core.gates.scope import Scope, is_urgent
from dbre.core.text import printable
from dbre.core.units import format_duration

__all__ = ["FREEZE_WINDOW", "ChangeWindow", "FreezeWindow", "FreezeWindowGate"]

FREEZE_WINDOW = "freeze-window"


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeWindow:
    """A time in which the operations of its scope do not begin."""

    name: str
    calendar: Calendar
    scope: Scope
    verdict: GateVerdict = GateVerdict.HOLD
    holds_running: bool = False  # whether operations that began before are paused at their next boundary as well
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeWindow:
    """The operations of its scope begin only in this time, or in that of another change window whose scope they are in."""

    name: str
    calendar: Calendar
    scope: Scope
    verdict: GateVerdict = GateVerdict.HOLD
    holds_running: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Obstacle:
    window: FreezeWindow | ChangeWindow
    why: str
    until: datetime | None  # None: not within reach of the calendar


class FreezeWindowGate:
    """Compares the moment of the question with the windows of the configuration; reads nothing else."""

    name = FREEZE_WINDOW
    summary = "no freeze lasts, and a change window is open where there are any"
    asks_always = True

    def __init__(self, freezes: Sequence[FreezeWindow] = (), changes: Sequence[ChangeWindow] = ()) -> None:
        self._freezes = tuple(freezes)
        self._changes = tuple(changes)

    def fails_open(self, question: GateQuestion) -> bool:
        """For what reads, and for what repairs."""
        return is_urgent(question)

    async def decide(self, question: GateQuestion) -> GateDecision:
        """Allow where no window stands in the way."""
        obstacles = [*self._frozen(question), *self._closed(question)]
        if not obstacles:
            return GateDecision(gate=self.name, verdict=GateVerdict.ALLOW, reason="no window stands in the way")
        ends = [one.until for one in obstacles if one.until is not None]
        until = max(ends) if len(ends) == len(obstacles) else None
        worst = max(obstacles, key=lambda one: (one.window.verdict.weight, one.until is None, one.until or question.at))
        return GateDecision(
            gate=self.name,
            verdict=worst.window.verdict,
            reason=_sentence(worst, question),
            evidence=_evidence(worst, obstacles),
            valid_until=until,
        )

    def _frozen(self, question: GateQuestion) -> Iterable[_Obstacle]:
        for window in _asked(self._freezes, question):
            now = window.calendar.at(question.at)
            if now.is_inside:
                yield _Obstacle(window=window, why=f"freeze window {window.name}", until=now.until)
            elif (left := _too_little_time(question, now)) is not None:
                end = window.calendar.at(now.until).until if now.until else None
                yield _Obstacle(
                    window=window, why=f"{_takes(question)}, and freeze window {window.name} begins in {left}", until=end
                )

    def _closed(self, question: GateQuestion) -> Iterable[_Obstacle]:
        """At most one obstacle: the windows are alternatives, and the one that opens next counts."""
        found: list[_Obstacle] = []
        too_short: str | None = None
        for window in _asked(self._changes, question):
            now = window.calendar.at(question.at)
            left = _too_little_time(question, now)
            if now.is_inside and left is None:
                return
            opens = now.until
            if now.is_inside and now.until is not None:
                opens = window.calendar.at(now.until).until
                too_short = f"{_takes(question)}, and change window {window.name} closes in {left}"
            found.append(_Obstacle(window=window, why=f"outside of change window {window.name}", until=opens))
        if found:
            first = min(found, key=lambda one: (one.until is None, one.until or question.at))
            yield replace(first, why=too_short) if too_short else first


def _asked(
    windows: Sequence[FreezeWindow] | Sequence[ChangeWindow], question: GateQuestion
) -> Iterable[FreezeWindow | ChangeWindow]:
    is_start = question.moment is Moment.START
    return (one for one in windows if (is_start or one.holds_running) and one.scope.covers(question))


def _too_little_time(question: GateQuestion, standing: Standing) -> str | None:
    """How much time is left, where the operation would not be done by then; None where it would, or nobody knows."""
    seconds = question.planned.plan.estimate_seconds
    if question.moment is not Moment.START or not seconds or standing.until is None:
        return None
    left = (standing.until - question.at).total_seconds()
    return format_duration(left) if seconds > left else None


def _takes(question: GateQuestion) -> str:
    return f"it takes about {format_duration(question.planned.plan.estimate_seconds or 0)}"


def _sentence(obstacle: _Obstacle, question: GateQuestion) -> str:
    window = obstacle.window
    target = printable(question.planned.plan.target, limit=150)
    until = _until(window.calendar, obstacle.until, question.at)
    verb = "waits" if window.verdict is GateVerdict.HOLD else "is refused"
    words = f"{question.planned.kind} on {target} {verb} {until}: {obstacle.why}"
    return words + (f" ({printable(window.reason, limit=150)})" if window.reason else "")


def _until(calendar: Calendar, until: datetime | None, at: datetime) -> str:
    if until is None:
        return "without an end in sight"
    local = until.astimezone(calendar.zone)
    return f"until {local:%a %Y-%m-%d %H:%M} {local.tzname()} (in {format_duration((until - at).total_seconds())})"


def _evidence(worst: _Obstacle, obstacles: Sequence[_Obstacle]) -> Mapping[str, object]:
    window = worst.window
    return {
        "window": window.name,
        "when": str(window.calendar.pattern),
        "time_zone": window.calendar.zone.key,
        "until": worst.until.isoformat() if worst.until else None,
        "windows": [one.window.name for one in obstacles[:50]],
    }
