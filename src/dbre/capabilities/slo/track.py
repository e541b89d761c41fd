"""What the engine keeps in memory of one SLO instance."""

from datetime import datetime, timedelta

from dbre.capabilities.slo.alert_state import TrackedAlert
from dbre.capabilities.slo.assessment import Measured, longest_look_back
from dbre.capabilities.slo.counts import NOTHING, Counts
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.series import SLOT_SECONDS, Run, SlotSeries, slot_at
from dbre.capabilities.slo.slot_repository import LoadedSeries

__all__ = ["Track"]


class Track:
    """Slots of one instance: all of them, those of the recent past by elapsed time, and those not yet in the store.

    ``series`` is ordered by the wall clock and feeds budgets; ``recent`` feeds alerts. They differ only after the wall
    clock was stepped: then ``recent`` is moved along, so that what happened five minutes ago stays five minutes ago, and
    an old outage does not come back into a short window.
    """

    def __init__(self, instance: SloInstance, *, started_monotonic: float) -> None:
        self.instance = instance
        self.series = SlotSeries()
        self.recent = SlotSeries()
        self.pending = SlotSeries()
        self.tracked: dict[str, TrackedAlert] = {}
        self.seen = NOTHING  # since the process started, whatever windows look at
        self.series_id: int | None = None  # None: not registered in the store yet
        self.corrupt_slots = 0
        self.definition_since: datetime | None = None
        self.last_valid_monotonic = started_monotonic
        self.look_back_slots = longest_look_back(instance) // SLOT_SECONDS + 1
        period = instance.definition.window.longest_seconds
        rules = instance.definition.rules_for(period)
        self.recent_slots = max([*(rule.long_seconds for rule in rules), 7_200]) // SLOT_SECONDS + 1

    def add(self, slot: int, counts: Counts, *, monotonic: float) -> None:
        """Count one event everywhere."""
        for series in (self.series, self.recent, self.pending):
            series.add(slot, counts)
        self.seen += counts
        if counts.total:
            self.last_valid_monotonic = monotonic

    def adopt(self, loaded: LoadedSeries, unsaved: list[Run], *, now: datetime) -> None:
        """Take over what the store has, and put what it does not have yet on top."""
        self.series, self.corrupt_slots = loaded.series, loaded.corrupt_slots
        for run in unsaved:
            self.series.add(run.start, run.counts, length=run.length)
        end = slot_at(now) + 1  # slots of the future were written under a clock that was ahead: alerts do not see them
        self.recent = self.series.copy(end - self.recent_slots, end)

    def step(self, slots: int) -> None:
        """Follow a step of the wall clock."""
        self.recent.shift(slots)
        delta = timedelta(seconds=slots * SLOT_SECONDS)
        self.tracked = {rule: one.moved(delta) for rule, one in self.tracked.items()}

    def forget(self, now: datetime) -> None:
        """Drop what no window looks at any more."""
        slot = slot_at(now)
        self.series.forget_before(slot - self.look_back_slots)
        self.recent.forget_before(slot - self.recent_slots)

    def is_quiet(self, now: datetime, *, silent_seconds: float, lost_after_seconds: float) -> bool:
        """Nothing bad within reach of any rule, nothing lost, no alert under way: there is nothing to decide."""
        end = slot_at(now) + 1
        return (
            not self.tracked
            and silent_seconds < lost_after_seconds
            and not self.recent.window(end - self.recent_slots, end).bad
        )

    def measured(self, *, interval_ms: int, silent_seconds: float, lost_after_seconds: float) -> Measured:
        """Everything that an assessment needs."""
        return Measured(
            instance=self.instance,
            series=self.series,
            recent=self.recent,
            interval_ms=interval_ms,
            silent_seconds=silent_seconds,
            lost_after_seconds=lost_after_seconds,
            tracked=self.tracked,
            corrupt_slots=self.corrupt_slots,
            definition_since=self.definition_since,
        )
