"""Old slots in less room: where traffic makes each slot differ, the counts of a minute lie in its first slot, later of an hour.

Every event stays counted; only the far edge of a window that looks back further than two days is by the minute, and by the hour
after 45 days. Runs of equal slots, as healthy probes make them, stay as they are: they are smaller already.
"""

from collections.abc import Iterable

from dbre.capabilities.slo.counts import NOTHING
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.series import SLOT_SECONDS, Run, SlotSeries

__all__ = ["LEVELS", "coarsen", "coarsened", "levels_of"]

LEVELS = ((48 * 3600 // SLOT_SECONDS, 60 // SLOT_SECONDS), (45 * 86_400 // SLOT_SECONDS, 3600 // SLOT_SECONDS))
"""From which age on, in slots, how many slots are put together."""


def levels_of(definition: Definition) -> tuple[tuple[int, int], ...]:
    """The levels for one SLO: slices of time that its budget judges are never put together with others."""
    slices = definition.slices
    return tuple((age, width) for age, width in LEVELS if slices is None or slices.slots % width == 0)


def coarsened(runs: Iterable[Run], width: int) -> SlotSeries:
    """The same events by ``width`` slots, where that takes fewer runs.

    >>> from dbre.capabilities.slo.counts import Counts
    >>> runs = [Run(5, 1, Counts(3)), Run(6, 1, Counts(4)), Run(8, 1, Counts(5))]
    >>> [(one.start, one.counts.good) for one in coarsened(runs, 6).runs()]
    [(5, 3), (6, 9)]
    """
    fine, coarse = SlotSeries(), SlotSeries()
    pieces: list[Run] = []
    at = 0
    for run in runs:
        fine.add(run.start, run.counts, length=run.length)
        if run.start // width != at:
            _put_together(coarse, pieces, at * width)
            pieces = []
        at = run.start // width
        inside = min(run.length, (at + 1) * width - run.start)
        pieces.append(Run(run.start, inside, run.counts))
        if run.length > inside:  # it goes on behind the edge
            _put_together(coarse, pieces, at * width)
            rest = Run(run.start + inside, run.length - inside, run.counts)
            whole = rest.length // width * width
            if whole:
                coarse.add(rest.start, rest.counts, length=whole)
            at = (rest.start + whole) // width
            pieces = [Run(rest.start + whole, rest.length - whole, rest.counts)] if rest.length > whole else []
    _put_together(coarse, pieces, at * width)
    return coarse if len(coarse) < len(fine) else fine


def coarsen(series: SlotSeries, start: int, end: int, width: int) -> None:
    """Put the slots ``[start, end)`` of a series together; both are whole multiples of ``width``."""
    series.replace(start, end, coarsened(series.runs(start, end), width).runs())


def _put_together(coarse: SlotSeries, pieces: list[Run], start: int) -> None:
    if len(pieces) == 1:
        coarse.add(pieces[0].start, pieces[0].counts, length=pieces[0].length)
    elif pieces:
        coarse.add(start, sum((one.counts * one.length for one in pieces), start=NOTHING))
