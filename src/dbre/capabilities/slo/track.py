"""What the engine keeps in memory of one SLO instance."""

from datetime import datetime, timedelta

from dbre.capabilities.slo.alert_state import TrackedAlert
from dbre.capabilities.slo.assessment import Measured
from dbre.capabilities.slo.coarsening import coarsen, levels_of
from dbre.capabilities.slo.correction import Interval
from dbre.capabilities.slo.counts import NOTHING, Counts
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.look_back import look_back_slots
from dbre.capabilities.slo.screening import Screen, screen_of
from dbre.capabilities.slo.series import SLOT_SECONDS, Run, SlotSeries, slot_at, slot_start
from dbre.capabilities.slo.slice_series import SliceSeries
from dbre.capabilities.slo.slot_repository import LoadedSeries
from dbre.capabilities.slo.versions import Version
from dbre.capabilities.slo.window import RollingWindow, span

__all__ = ["Pulse", "Track"]

_NEVER = 2**62
_COARSENED_AT_ONCE = 8_640  # slots, a day: the event loop turns again after some tens of milliseconds


class Pulse:
    """When the source of an SLO on a cluster was last alive; all its groups share it."""

    __slots__ = ("at_monotonic", "is_heard")

    def __init__(self, started_monotonic: float) -> None:
        self.at_monotonic = started_monotonic
        self.is_heard = False  # not once yet

    def beat(self, monotonic: float) -> None:
        """It is alive."""
        self.at_monotonic, self.is_heard = monotonic, True


class Track:
    """Slots of one instance: all of them, those of the recent past by elapsed time, and those not yet in the store.

    ``series`` is ordered by the wall clock and feeds budgets; ``recent`` feeds alerts. They differ only after the wall
    clock was stepped: then ``recent`` is moved along, so that what happened five minutes ago stays five minutes ago, and
    an old outage does not come back into a short window.
    """

    def __init__(
        self,
        instance: SloInstance,
        *,
        started_monotonic: float,
        interval_ms: int,
        lost_after_seconds: float,
        pulse: Pulse | None = None,
    ) -> None:
        self.instance = instance
        self.interval_ms = interval_ms
        self.lost_after_seconds = lost_after_seconds
        self.pulse = pulse  # None: probes, each of which is heard by itself
        self.raw = SlotSeries()
        self.raw_recent = SlotSeries()
        self.series = self.raw  # another one only while something is corrected
        self.recent = self.raw_recent
        self.corrected: tuple[Interval, ...] = ()
        self.pending = SlotSeries()
        self._coarse_until: dict[int, int] = {}  # by width, up to which slot old counts are put together
        self._screened_until = -1  # a slot
        self._calm_until, self._calm_changes = -1, 0
        self._screened = Screen(())
        slices = instance.definition.slices
        self.judged = None if slices is None else SliceSeries(slices)
        self.judged_recent = None if slices is None else SliceSeries(slices)
        self.tracked: dict[str, TrackedAlert] = {}
        self.seen = NOTHING  # since the process started, whatever windows look at
        self.series_id: int | None = None  # None: not registered in the store yet
        self.corrupt_slots = 0
        self.definition_since: datetime | None = None
        self.since_slot: int | None = None
        self.earlier: tuple[Version, ...] = ()
        self.last_valid_monotonic = started_monotonic
        self.look_back_slots = look_back_slots(instance)
        period = instance.definition.window.longest_seconds
        rules = instance.definition.rules_for(period)
        watched = instance.definition.watched_seconds
        self.recent_slots = max([*(rule.long_seconds for rule in rules), *watched, 7_200]) // SLOT_SECONDS + 1

    def add(self, slot: int, counts: Counts, *, monotonic: float) -> None:
        """Count one event everywhere."""
        for series in (self.raw, self.raw_recent, self.pending):
            series.add(slot, counts)
        if self.corrected and not any(low <= slot < high for low, high in self.corrected):
            self.series.add(slot, counts)
            self.recent.add(slot, counts)
        if self.judged is not None and self.judged_recent is not None:
            self.judged.touch(slot)
            self.judged_recent.touch(slot)
        self.seen += counts
        if counts.total:
            self.last_valid_monotonic = monotonic

    def adopt(self, loaded: LoadedSeries, unsaved: list[Run], *, now: datetime) -> None:
        """Take over what the store has, and put what it does not have yet on top."""
        self.raw, self.corrupt_slots = loaded.series, loaded.corrupt_slots
        self._coarse_until = {}
        for run in unsaved:
            self.raw.add(run.start, run.counts, length=run.length)
        end = slot_at(now) + 1  # slots of the future were written under a clock that was ahead: alerts do not see them
        self.raw_recent = self.raw.copy(end - self.recent_slots, end)
        self._leave_out()

    def correct(self, intervals: tuple[Interval, ...]) -> None:
        """Leave the slots of some intervals out of everything but what was measured."""
        if intervals != self.corrected:
            self.corrected = intervals
            self._leave_out()

    def _leave_out(self) -> None:
        self.series, self.recent = self.raw, self.raw_recent
        if self.corrected:
            self.series, self.recent = self.raw.without(self.corrected), self.raw_recent.without(self.corrected)
        self._calm_until = -1
        self._judge_anew()

    def _judge_anew(self) -> None:
        slices = self.instance.definition.slices
        if slices is not None:
            self.judged, self.judged_recent = SliceSeries(slices), SliceSeries(slices)

    def step(self, slots: int) -> None:
        """Follow a step of the wall clock."""
        self.raw_recent.shift(slots)
        if self.recent is not self.raw_recent:
            self.recent.shift(slots)
        if self.judged_recent is not None:
            self.judged_recent.shift()
        delta = timedelta(seconds=slots * SLOT_SECONDS)
        self.tracked = {rule: one.moved(delta) for rule, one in self.tracked.items()}

    def forget(self, now: datetime) -> None:
        """Drop what no window looks at any more, and keep what is old in less room."""
        slot = slot_at(now)
        for age, width in levels_of(self.instance.definition):
            edge = (slot - age) // width * width
            start = self._coarse_until.get(width, (self.raw.first or edge) // width * width)
            edge = min(edge, start + _COARSENED_AT_ONCE)
            for series in {id(one): one for one in (self.raw, self.series)}.values() if start < edge else ():
                coarsen(series, start, edge, width)
            self._coarse_until[width] = max(start, edge)
        for series in {id(one): one for one in (self.raw, self.series)}.values():
            series.forget_before(slot - self.look_back_slots)
        for series in {id(one): one for one in (self.raw_recent, self.recent)}.values():
            series.forget_before(slot - self.recent_slots)
        if self.judged is not None and self.judged_recent is not None:
            self.judged.forget_before(slot - self.look_back_slots)
            self.judged_recent.forget_before(slot - self.recent_slots)

    def silent_seconds(self, monotonic: float) -> float:
        """For how long nothing valid came, and the source gave no sign of life."""
        last = self.last_valid_monotonic
        return monotonic - (last if self.pulse is None else max(last, self.pulse.at_monotonic))

    def is_quiet(self, end: int, *, monotonic: float) -> bool:
        """No rule can be met, nothing is lost, no alert is under way: there is nothing to decide."""
        last = self.last_valid_monotonic if self.pulse is None else max(self.last_valid_monotonic, self.pulse.at_monotonic)
        if self.tracked or monotonic - last >= self.lost_after_seconds:
            return False
        if self.instance.definition.budget_rules and not self._is_budget_whole(end):
            return False
        if end > self._screened_until:
            self._screen(end)
        series: SlotSeries | SliceSeries = self.recent
        if self.judged_recent is not None:
            self.judged_recent.follow(self.recent, end - 1, corrected=self.corrected)
            series = self.judged_recent
        elif end <= self._calm_until and self.recent.bad_changes == self._calm_changes:
            return True
        if self._screened.may_fire(series, end):
            return False
        if self.judged_recent is None:
            self._calm_until, self._calm_changes = self._screened.calm_until(self.recent, end), self.recent.bad_changes
        return True

    def _is_budget_whole(self, end: int) -> bool:
        """Nothing is spent: no bad event, no bad slice (one without an event may be), nothing under an earlier version."""
        series: SlotSeries | SliceSeries = self.series
        if self.judged is not None:
            self.judged.follow(self.series, end - 1, corrected=self.corrected)
            series = self.judged
        return not self.earlier and series.newest_bad <= end - self.look_back_slots

    def _screen(self, end: int) -> None:
        """Make what the rules need ready to be compared, for as long as the window keeps its length."""
        at = span(self.instance.definition.window, slot_start(end - 1))
        self._screened = screen_of(self.instance.definition, at.seconds)
        is_rolling = isinstance(self.instance.definition.window, RollingWindow)
        self._calm_until = -1
        self._screened_until = _NEVER if is_rolling else at.end_slot

    def measured(self, now: datetime, *, monotonic: float) -> Measured:
        """Everything that an assessment needs."""
        if self.judged is not None and self.judged_recent is not None:
            self.judged.follow(self.series, slot_at(now), corrected=self.corrected)
            self.judged_recent.follow(self.recent, slot_at(now), corrected=self.corrected)
        return Measured(
            instance=self.instance,
            series=self.series,
            recent=self.recent,
            interval_ms=self.interval_ms,
            silent_seconds=(silent_seconds := self.silent_seconds(monotonic)),
            lost_after_seconds=self.lost_after_seconds,
            tracked=self.tracked,
            corrupt_slots=self.corrupt_slots,
            definition_since=self.definition_since,
            raw=self.raw,
            raw_recent=self.raw_recent,
            corrected=self.corrected,
            earlier=self.earlier,
            since_slot=self.since_slot,
            judged=self.judged,
            judged_recent=self.judged_recent,
            is_heard=self.pulse is not None and self.pulse.is_heard and silent_seconds < self.lost_after_seconds,
        )
