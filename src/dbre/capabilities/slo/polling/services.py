"""Checks of the stack as events of SLOs."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from dbre.capabilities.slo.counting import CountedSlot, CountSink
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.series import slot_at
from dbre.capabilities.slo.sources import ServiceSource
from dbre.core.errors import UsageError
from dbre.core.fleet import Fleet
from dbre.core.text import closest

__all__ = ["ServiceCounter"]


class ServiceCounter:
    """Hands each check of a service to every SLO that is made of them, on every cluster that it selects.

    Raises: UsageError for an SLO of a service that is not among ``services``.
    """

    def __init__(self, definitions: Sequence[Definition], fleet: Fleet, *, services: Sequence[str], sink: CountSink) -> None:
        self._sink = sink
        self._wanted: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for one in definitions:
            source = one.sli.source
            if not isinstance(source, ServiceSource):
                continue
            if source.service not in services:
                near = closest(source.service, services)
                raise UsageError(
                    f"SLO {one.name} is about the service {source.service}, which the section stack does not have",
                    hint=f"did you mean {near}?" if near else "add it under `stack` in dbre.yaml: name, kind, url",
                )
            self._wanted[source.service] += [(one.name, cluster.name) for cluster in fleet.select(one.selector)]

    def record(self, service: str, *, at: datetime, is_good: bool | None) -> None:
        """Count one check that was due ``at``; None: it was not made."""
        counts = Counts(missed=1) if is_good is None else Counts(good=1) if is_good else Counts(bad=1)
        wanted = self._wanted.get(service, ())
        if wanted:
            self._sink.take([CountedSlot(slo, cluster, "", slot_at(at), counts) for slo, cluster in wanted])
        if is_good is not None:
            for slo, cluster in wanted:
                self._sink.heard(slo, cluster)
