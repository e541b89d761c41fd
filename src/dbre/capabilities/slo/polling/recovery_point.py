"""How much would be lost, as events of SLOs."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from dbre.capabilities.slo.counting import CountedSlot, CountSink
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.series import slot_at
from dbre.capabilities.slo.sources import RecoveryPointSource
from dbre.core.fleet import Fleet

__all__ = ["RecoveryPointCounter"]


class RecoveryPointCounter:
    """Hands each measurement of a cluster's exposure to every SLO about it; not to know it is bad."""

    def __init__(self, definitions: Sequence[Definition], fleet: Fleet, *, sink: CountSink) -> None:
        self._sink = sink
        self._wanted: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for one in definitions:
            if isinstance(one.sli.source, RecoveryPointSource):
                for cluster in fleet.select(one.selector):
                    self._wanted[cluster.name].append((one.name, one.sli.source.limit_seconds))

    def record(self, cluster: str, at: datetime, exposure_seconds: float | None) -> None:
        """Count one measurement that was due ``at``; None: nobody knows what would be lost."""
        slots = [
            CountedSlot(slo, cluster, "", slot_at(at), _judged(exposure_seconds, limit))
            for slo, limit in self._wanted.get(cluster, ())
        ]
        if slots:
            self._sink.take(slots)


def _judged(exposure_seconds: float | None, limit_seconds: float) -> Counts:
    is_good = exposure_seconds is not None and exposure_seconds <= limit_seconds
    return Counts(good=1) if is_good else Counts(bad=1)
