"""What many durations come to: never a mean alone, because that of incident times says next to nothing."""

import math
import random
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Summary", "Trend", "summarize", "trend_of"]

_SEED = 20_261_121
_RESAMPLES = 2_000
_MOST_DRAWS = 1_000_000  # resamples times values: fewer resamples of many values, whose interval is narrow anyway


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """``low`` and ``high`` are the 95 % interval of the mean by percentile bootstrap; None for a single value.

    Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, ch. 13; S. Davidovic, "Incident Metrics in SRE".
    """

    n: int
    mean: float
    median: float
    p90: float  # nearest rank
    low: float | None
    high: float | None


def summarize(values: Iterable[float]) -> Summary | None:
    """The summary of some values; None for none: the mean of nothing is not 0.

    >>> found = summarize([1, 2, 3, 10])
    >>> found.n, found.mean, found.median, found.p90
    (4, 4.0, 2.5, 10)
    """
    given = sorted(values)
    if not given:
        return None
    low, high = _interval(given) if len(given) > 1 else (None, None)
    return Summary(
        n=len(given),
        mean=statistics.fmean(given),
        median=statistics.median(given),
        p90=given[math.ceil(0.9 * len(given)) - 1],
        low=low,
        high=high,
    )


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """The same values give the same interval each time."""
    source, size = random.Random(_SEED), len(values)  # noqa: S311 - statistics, not secrets
    times = max(min(_RESAMPLES, _MOST_DRAWS // size), 200)
    means = sorted(math.fsum(source.choices(values, k=size)) / size for _ in range(times))
    return means[round(0.025 * (times - 1))], means[round(0.975 * (times - 1))]


class Trend(StrEnum):
    """How a duration changed from one span to the next."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "unclear"  # the intervals of the means overlap: it may be chance


def trend_of(now: Summary | None, before: Summary | None) -> Trend | None:
    """How a duration changed; ``unclear`` where the intervals of the means overlap, None where there is no interval.

    >>> trend_of(summarize([1, 2, 1, 2]), summarize([9, 8, 9, 8]))
    <Trend.BETTER: 'better'>
    """
    if now is None or before is None or now.low is None or now.high is None or before.low is None or before.high is None:
        return None
    if now.high < before.low:
        return Trend.BETTER
    return Trend.WORSE if now.low > before.high else Trend.UNCLEAR
