"""How often a healthy service would page by chance, and how soon a broken one does: seeded, invented traffic."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from math import exp
from statistics import median

from dbre.capabilities.slo.alert_rules import Severity
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition, SloInstance
from dbre.capabilities.slo.objective import allowed_ratio
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries, slot_at
from dbre.capabilities.slo.simulation.replay import replay
from dbre.core.fleet import Cluster

__all__ = ["Detection", "ModelRow", "model_row"]

_DAY = 86_400 // SLOT_SECONDS
_LEAD_SLOTS = _DAY  # history before anything is judged, so that no rule is warming up
_FAILURE_SLOTS = 6 * 3_600 // SLOT_SECONDS
_BEGIN = slot_at(datetime(2026, 1, 1, tzinfo=UTC))
_LARGE = 30.0  # from so many events in a slot on, their number is taken as even: chance lies in the bad ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """How a failure of some hours was seen: the median of the runs that saw it, and how many did not."""

    error_ratio: Fraction
    median_seconds: float | None
    missed: int
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One rate of traffic, with the guard or without."""

    per_minute: Fraction
    has_guard: bool
    false_pages: float  # of 30 days, the mean of all runs, while half the allowed errors happen
    detections: tuple[Detection, ...]


def model_row(
    definition: Definition,
    cluster: Cluster,
    *,
    per_minute: Fraction,
    has_guard: bool,
    runs: int = 4,
    days: int = 30,
    seed: int = 1,
    error_ratios: Sequence[Fraction] = (Fraction(1), Fraction(1, 20)),
) -> ModelRow:
    """Invent ``runs`` histories of a service at half its allowed error ratio, and failures of six hours, and replay them.

    The same seed gives the same histories with the guard and without.
    """
    pages = tuple(one for one in definition.rules_for(definition.window.longest_seconds) if one.severity is Severity.PAGE)
    policies = replace(definition.policies, has_low_traffic_guard=has_guard)
    instance = SloInstance(definition=replace(definition, rules=pages, policies=policies), cluster=cluster)
    healthy = allowed_ratio(definition.target) / 2
    false_pages = 0
    for run in range(runs):
        chance = random.Random(f"{seed}/{run}/{per_minute}")  # noqa: S311 - a model, no secret
        series = _invented(chance, [(_LEAD_SLOTS + days * _DAY, healthy)], per_minute)
        start = _BEGIN + _LEAD_SLOTS
        false_pages += len(replay(instance, series, start=start, end=start + days * _DAY, interval_ms=0, is_silent=True).pages)
    return ModelRow(
        per_minute=per_minute,
        has_guard=has_guard,
        false_pages=false_pages * 30 / days / runs,
        detections=tuple(_detection(instance, ratio, healthy, per_minute, runs * 8, seed) for ratio in error_ratios),
    )


def _detection(
    instance: SloInstance, ratio: Fraction, healthy: Fraction, per_minute: Fraction, runs: int, seed: int
) -> Detection:
    seen: list[float] = []
    for run in range(runs):
        chance = random.Random(f"{seed}/{run}/{per_minute}/{ratio}")  # noqa: S311 - a model, no secret
        series = _invented(chance, [(_LEAD_SLOTS, healthy), (_FAILURE_SLOTS, ratio)], per_minute)
        start = _BEGIN + _LEAD_SLOTS
        found = replay(instance, series, start=start - _DAY // 24, end=start + _FAILURE_SLOTS, interval_ms=0, is_silent=True)
        began = datetime.fromtimestamp(start * SLOT_SECONDS, UTC)
        pages = [one for one in found.pages if one.resolved_at is None or one.resolved_at > began]
        if pages:
            seen.append(max((pages[0].fired_at - began).total_seconds(), 0.0))
    return Detection(error_ratio=ratio, median_seconds=median(seen) if seen else None, missed=runs - len(seen), runs=runs)


def _invented(chance: random.Random, parts: Sequence[tuple[int, Fraction]], per_minute: Fraction) -> SlotSeries:
    """Requests at random moments, a part of them bad."""
    series, slot = SlotSeries(), _BEGIN
    for length, bad_ratio in parts:
        mean = float(per_minute) * SLOT_SECONDS / 60
        good = _arrivals(chance, mean * float(1 - bad_ratio), length)
        bad = _arrivals(chance, mean * float(bad_ratio), length)
        for at, counts in enumerate(zip(good, bad, strict=True)):
            if any(counts):
                series.add(slot + at, Counts(*counts))
        slot += length
    return series


def _arrivals(chance: random.Random, mean: float, slots: int) -> Iterator[int]:
    """How many events each slot holds: Poisson, by multiplication (Knuth, TAOCP vol. 2, 3.4.1)."""
    if mean >= _LARGE:
        return _even(mean, slots)
    if mean <= 0:
        return iter([0] * slots)
    return _poisson(chance, exp(-mean), slots)


def _poisson(chance: random.Random, limit: float, slots: int) -> Iterator[int]:
    draw = chance.random
    for _ in range(slots):
        count, product = 0, draw()
        while product > limit:
            product *= draw()
            count += 1
        yield count


def _even(mean: float, slots: int) -> Iterator[int]:
    given = 0
    for index in range(1, slots + 1):
        due = round(mean * index)
        yield due - given
        given = due
