"""What one run of a drill measured, and what many say together. Arithmetic only."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import comb
from typing import Any, Self

from dbre.capabilities.ha.clients.timing import quantile
from dbre.core.text import counted
from dbre.core.units import format_duration

__all__ = ["Distribution", "RunMeasures", "distribution", "problems_of"]

_SURE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMeasures:
    """One run. Unknown is None. Seconds count from the fault, those of the outage between two acknowledgements."""

    number: int
    kind: str
    by: str
    old_primary: str
    new_primary: str | None
    began_at: str
    fault_at: str | None = None
    outage_seconds: float | None = None
    is_outage_open: bool = False  # no write was acknowledged until the end
    noticed_seconds: float | None = None
    promoted_seconds: float | None = None
    redundancy_seconds: float | None = None
    acknowledged: int = 0
    lost: int | None = None
    old_acknowledged: int | None = None  # writes begun and acknowledged on the old primary after the promotion was seen
    overlap: int | None = None  # acknowledged by an old node after a new one had begun
    verdict: str = "unknown"
    predicted_least_seconds: float | None = None
    predicted_most_seconds: float | None = None
    history: str | None = None
    failure: str | None = None  # why nothing was measured: somebody took too long, or another operation failed
    warnings: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "warnings": list(self.warnings)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Back from ``document``; keys that another version wrote are left out."""
        known = {name: value for name, value in document.items() if name in cls.__dataclass_fields__}
        return cls(**{**known, "warnings": tuple(known.get("warnings", ()))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Of one measure over runs."""

    count: int
    p50: float | None
    p95: float | None
    most: float | None
    interval: tuple[float, float] | None  # that holds the median with 95 % certainty; None: too few runs


def distribution(values: Sequence[float]) -> Distribution:
    """Quantiles by nearest rank, and the interval of order statistics that holds the median.

    >>> distribution([3.0, 1.0, 2.0, 5.0, 4.0, 6.0]).interval
    (1.0, 6.0)
    """
    ordered = sorted(values)
    count = len(ordered)
    rank = _rank(count)
    return Distribution(
        count=count,
        p50=quantile(ordered, 0.5),
        p95=quantile(ordered, 0.95),
        most=ordered[-1] if ordered else None,
        interval=(ordered[rank], ordered[count - 1 - rank]) if rank is not None else None,
    )


def _rank(count: int) -> int | None:
    """The highest rank from both ends at which the median still lies between the two in 95 of 100 cases."""
    found = None
    for rank in range(count // 2):
        outside = 2 * sum(comb(count, one) for one in range(rank + 1)) / 2**count
        if outside > 1 - _SURE:
            break
        found = rank
    return found


def problems_of(run: RunMeasures) -> list[str]:
    """What a run showed that should not be, in words."""
    if run.failure is not None:
        return [f"the run failed: {run.failure}"]
    found = []
    if run.old_acknowledged:
        found.append(f"{counted(run.old_acknowledged, 'write')} acknowledged by {run.old_primary} after the promotion")
    if run.overlap:
        found.append(f"{counted(run.overlap, 'write')} acknowledged by an old node after a new one had begun")
    if run.lost:
        found.append(f"{counted(run.lost, 'acknowledged write')} lost")
    if run.outage_seconds is None or run.verdict == "unknown":
        found.append("what clients saw could not be judged")
    elif run.is_outage_open:
        found.append("no write was acknowledged until the end")
    most = run.predicted_most_seconds
    if run.outage_seconds is not None and most is not None and run.outage_seconds > most:
        found.append(f"an outage of {format_duration(run.outage_seconds)}, and the settings promise {format_duration(most)}")
    return found
