"""From counters, read at the boundaries of slots, to events in slots: exact, over resets, gaps and new series."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, isinf

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.series import SLOT_SECONDS

__all__ = ["SPARE_SERIES", "CounterPair", "Excess", "ReadSeries"]

SKEW_SLOTS = 30
"""How long bad events may precede the total that holds them: two series are not scraped in the same moment."""

SPARE_SERIES = 20_000
"""So many series are remembered that are not there any more, and might come back."""

_Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSeries:
    """One series: its labels, and its value at boundaries of slots (Unix seconds); a boundary without a value is left out."""

    labels: Mapping[str, str]
    values: Mapping[int, float]

    @property
    def key(self) -> _Key:
        """Its identity."""
        return tuple(sorted(self.labels.items()))

    @property
    def target(self) -> tuple[str, str]:
        """The process that counts, as Prometheus labels it."""
        return self.labels.get("job", ""), self.labels.get("instance", "")


@dataclass(frozen=True, slots=True)
class Excess:
    """Bad events of a group that its total does not hold yet, and the slot since which they wait."""

    events: int
    since_slot: int


@dataclass(slots=True)
class _Counter:
    """What is remembered of the series of one expression."""

    group_label: str | None
    last: dict[_Key, float] = field(default_factory=dict)
    targets: set[tuple[str, str]] = field(default_factory=set)
    most: int = 0  # series in one answer

    def step(self, boundary: int, series: Sequence[ReadSeries]) -> dict[str, int]:
        """How much each group has grown up to this boundary.

        A value below the one before is a counter that began again. A series that is new counts from zero where its process
        was known before (its first error, say), and from its present value where the process is new: nobody knows what of it
        lies in this slot.
        """
        grown: dict[str, int] = defaultdict(int)
        known_targets = set(self.targets)
        for one in series:
            value = one.values.get(boundary)
            if value is None or isinf(value) or value < 0:
                continue
            before = self.last.get(one.key)
            if before is None:
                increase = floor(value) if one.target in known_targets else 0
            else:
                increase = floor(value) - floor(before) if value >= before else floor(value)
            self.last[one.key] = value
            self.targets.add(one.target)
            grown[one.labels.get(self.group_label, "") if self.group_label else ""] += increase
        self.most = max(self.most, len(series))
        if len(self.last) > SPARE_SERIES + 2 * self.most <= SPARE_SERIES + 4 * len(series):  # never by an answer with a gap
            self._forget_others(series)
        return grown

    def _forget_others(self, series: Sequence[ReadSeries]) -> None:
        """Processes come and go, each with series of its own: keep those of this answer."""
        keys, targets = {one.key for one in series}, {one.target for one in series}
        self.last = {key: value for key, value in self.last.items() if key in keys}
        self.targets &= targets


class CounterPair:
    """Two expressions, bad and total, as they grow."""

    def __init__(self, *, group_label: str | None = None, excess: Mapping[str, Excess] | None = None) -> None:
        self._bad = _Counter(group_label)
        self._total = _Counter(group_label)
        self.excess: dict[str, Excess] = dict(excess or {})
        self.contradictions = 0  # events that were bad, and in no total, until they were counted all the same

    def prime(self, bad: Sequence[ReadSeries], total: Sequence[ReadSeries]) -> None:
        """Take values from before the first slot as known; nothing is counted."""
        for counter, series in ((self._bad, bad), (self._total, total)):
            for boundary in sorted({at for one in series for at in one.values}):
                counter.step(boundary, series)
        self._bad.targets |= self._total.targets  # a process that counts requests is known before its first error

    def advance(
        self, bad: Sequence[ReadSeries], total: Sequence[ReadSeries], boundaries: Iterable[int]
    ) -> list[tuple[int, str, Counts]]:
        """The events of the slots that end at ``boundaries`` (Unix seconds, ascending): slot, group, counts; none is empty."""
        found: list[tuple[int, str, Counts]] = []
        for boundary in boundaries:
            slot = boundary // SLOT_SECONDS - 1
            self._bad.targets |= self._total.targets  # as they were before this boundary
            events, errors = self._total.step(boundary, total), self._bad.step(boundary, bad)
            for group in sorted({*events, *errors, *self.excess}):
                counts = self._counted(slot, group, errors.get(group, 0), events.get(group, 0))
                if counts:
                    found.append((slot, group, counts))
        return found

    def _counted(self, slot: int, group: str, bad: int, total: int) -> Counts:
        waiting = self.excess.pop(group, None)
        since = waiting.since_slot if waiting else slot
        bad += waiting.events if waiting else 0
        if bad <= total:
            return Counts(good=total - bad, bad=bad)
        if slot - since < SKEW_SLOTS:
            self.excess[group] = Excess(bad - total, since)
            return Counts(bad=total)
        self.contradictions += bad - total
        return Counts(bad=bad)  # an error is never dropped because a total is wrong
