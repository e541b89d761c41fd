"""All SLO instances that the engine keeps in memory: those of the configuration, and the groups that appear at run time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta

import structlog

from dbre.capabilities.slo.definition import OTHER_GROUP, Definition, SloInstance, instances_of
from dbre.capabilities.slo.telemetry_state import lost_after_seconds
from dbre.capabilities.slo.track import Pulse, Track
from dbre.core.fleet import EndpointPurpose, Fleet
from dbre.core.text import printable

__all__ = ["TrackTable"]

_GROUP_LENGTH = 200

_log = structlog.get_logger(__name__)


class TrackTable:
    """Finds the tracks that an event belongs to, and makes those of groups that were not seen before."""

    def __init__(
        self,
        definitions: Sequence[Definition],
        fleet: Fleet,
        *,
        probe_interval_ms: int,
        lost_after: timedelta,
        started_monotonic: float,
    ) -> None:
        self._probe_interval_ms = probe_interval_ms
        self._lost_after_seconds = lost_after.total_seconds()
        self._started_monotonic = started_monotonic
        self.all: list[Track] = []
        self._by_endpoint: dict[tuple[str, EndpointPurpose], list[Track]] = defaultdict(list)
        self._by_key: dict[tuple[str, str, str], Track] = {}
        self._pulses: dict[tuple[str, str], Pulse] = {}
        self._bases: dict[tuple[str, str], SloInstance] = {}  # without a group; of sources other than probes
        self._groups: dict[tuple[str, str], int] = defaultdict(int)
        for definition in definitions:
            for cluster in fleet.select(definition.selector):
                if not definition.sli.is_probed:
                    key = definition.name, cluster.name
                    self._bases[key] = SloInstance(definition=definition, cluster=cluster)
                    self._pulses[key] = Pulse(started_monotonic)
        for instance in instances_of(definitions, fleet):
            self._add(instance)

    def __iter__(self) -> Iterator[Track]:
        """Each track, in the order of the configuration; groups behind it, in that of their appearance."""
        return iter(self.all)

    @property
    def grouped(self) -> list[SloInstance]:
        """The instances, without a group, of SLOs that have groups."""
        return [one for one in self._bases.values() if one.definition.sli.is_grouped]

    def probed(self, cluster: str, purpose: EndpointPurpose) -> Sequence[Track]:
        """Those that count the probes of an endpoint."""
        return self._by_endpoint.get((cluster, purpose), ())

    def pulse(self, slo: str, cluster: str) -> Pulse | None:
        """The life of a source; None where no such SLO is configured, or probes measure it."""
        return self._pulses.get((slo, cluster))

    def counted(self, slo: str, cluster: str, group: str) -> Sequence[Track]:
        """Those that count the events of a group: its own, made where it is new, and the one of all groups together."""
        base = self._bases.get((slo, cluster))
        if base is None:
            return ()
        whole = self._by_key.get((slo, cluster, ""))
        if not base.definition.sli.is_grouped:
            return (whole,) if whole is not None else ()
        known = self._by_key.get((slo, cluster, group)) if group else None  # without a name it is not the one of all groups
        own = known or self._new_group(base, group)
        return (own,) if whole is None else (own, whole)

    def adopt_group(self, instance: SloInstance) -> None:
        """A group that the store has, whatever the limit is now."""
        if (instance.definition.name, instance.cluster.name, instance.group) not in self._by_key:
            self._add(instance)

    def _new_group(self, base: SloInstance, group: str) -> Track:
        name = printable(group, limit=_GROUP_LENGTH) or OTHER_GROUP
        key = base.definition.name, base.cluster.name
        if self._groups[key] >= base.definition.max_groups and (*key, name) not in self._by_key:
            if (*key, OTHER_GROUP) not in self._by_key:
                _log.warning("slo_too_many_groups", slo=base.id, limit=base.definition.max_groups)
            name = OTHER_GROUP
        found = self._by_key.get((*key, name))
        return found or self._add(SloInstance(definition=base.definition, cluster=base.cluster, group=name))

    def _add(self, instance: SloInstance) -> Track:
        sli, key = instance.definition.sli, (instance.definition.name, instance.cluster.name)
        interval_ms = sli.interval_ms(self._probe_interval_ms)
        track = Track(
            instance,
            started_monotonic=self._started_monotonic,
            interval_ms=interval_ms,
            lost_after_seconds=lost_after_seconds(self._lost_after_seconds, interval_ms=interval_ms),
            pulse=self._pulses.get(key),
        )
        self.all.append(track)
        self._by_key[*key, instance.group] = track
        if sli.is_probed:
            self._by_endpoint[instance.cluster.name, sli.purpose].append(track)
        if instance.group and instance.group != OTHER_GROUP:
            self._groups[key] += 1
        return track
