"""The budget over time for a chart: thinned, but no dip and no peak is lost."""

from collections.abc import Iterable
from fractions import Fraction

from dbre.capabilities.slo.assessment import Measured, budget_of
from dbre.capabilities.slo.model import BurnDownPoint
from dbre.capabilities.slo.series import SlotSeries, slot_start
from dbre.capabilities.slo.slice_series import SliceSeries
from dbre.capabilities.slo.window import RollingWindow, WindowSpan

__all__ = ["burn_down_points"]


def burn_down_points(measured: Measured, at: WindowSpan, *, limit: int) -> tuple[BurnDownPoint, ...]:
    """Remaining budget from the start of the window (or the first measurement, if that is later) until now.

    The value changes only where a run of bad slots begins, ends, or leaves a rolling window: those are the moments that
    are looked at, besides an even grid. Each of ``limit / 3`` stretches keeps its least, its greatest and its last value.
    """
    series = measured.budget_series
    first = series.first
    start = at.start_slot if first is None else max(at.start_slot, first)
    if first is None or start >= at.seen_slot:
        return ()
    length = at.end_slot - at.start_slot
    is_rolling = isinstance(measured.instance.definition.window, RollingWindow)
    buckets = max((limit - 1) // 3, 1)
    width = max(-(-(at.seen_slot - start) // buckets), 1)
    moments = _moments(series, start, at.seen_slot, width, length if is_rolling else None)

    def remaining(slot: int) -> Fraction:
        low = slot - length if is_rolling else at.start_slot
        return budget_of(measured, low, low + length, slot).remaining_ratio

    return tuple(
        BurnDownPoint(at=slot_start(slot), remaining_ratio=value)
        for slot, value in _thin(((slot, remaining(slot)) for slot in moments), start, width)
    )


def _moments(series: SlotSeries | SliceSeries, start: int, end: int, width: int, ageing: int | None) -> list[int]:
    moments = {start, end, *range(start, end, width)}
    for run in series.runs(start - (ageing or 0), end):
        if run.counts.bad:
            for shift in (0, ageing) if ageing else (0,):
                moments.update((run.start * series.unit_slots + shift, run.end * series.unit_slots + shift))
    return sorted(moment for moment in moments if start <= moment <= end)


def _thin(points: Iterable[tuple[int, Fraction]], start: int, width: int) -> list[tuple[int, Fraction]]:
    buckets: dict[int, list[tuple[int, Fraction]]] = {}
    for point in points:
        bucket = buckets.setdefault((point[0] - start) // width, [])
        bucket.append(point)
        if len(bucket) > 3:
            _keep_extremes(bucket)
    kept = []
    for bucket in buckets.values():
        _keep_extremes(bucket)
        kept += bucket
    return kept


def _keep_extremes(bucket: list[tuple[int, Fraction]]) -> None:
    """The least, the greatest and the last value; of equal ones those next to each other, so that a drop stays steep."""
    least = min(bucket, key=lambda point: point[1])
    greatest = max(bucket, key=lambda point: (point[1], -abs(point[0] - least[0])))
    least = min(bucket, key=lambda point: (point[1], abs(point[0] - greatest[0])))
    bucket[:] = sorted({least, greatest, bucket[-1]})
