"""Which SLO instances an event counts for: by the name that it gives, or by its attributes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.slo.definition import OTHER_GROUP, Definition
from dbre.capabilities.slo.sli import SliKind
from dbre.capabilities.slo.sources import EventSource
from dbre.core.fleet import Cluster, Fleet
from dbre.core.text import closest, printable

__all__ = ["CLUSTER_ATTRIBUTE", "Matcher", "Target"]

CLUSTER_ATTRIBUTE = "dbre.cluster"
"""Names the cluster of the inventory outright; without it the server's address does."""
_ADDRESS, _PORT = "server.address", "server.port"
_METRIC = "metric.name"  # what an event has that is a point of a metric
_GROUP_LENGTH = 200
_REMEMBERED = 50_000  # attribute sets and names whose targets are kept; then all are forgotten

AttributeSet = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """One SLO instance; ``limit`` is the index of its latency limit in ``Matcher.limits_ms``, None: it has none."""

    slo: str
    cluster: str
    group: str
    limit: int | None


@dataclass(frozen=True, slots=True)
class _Rule:
    """An SLO with an event source, ready to be compared."""

    name: str
    source: EventSource
    terms: tuple[tuple[str, frozenset[str]], ...]
    clusters: frozenset[str]
    limit: int | None


class Matcher:
    """Knows the SLOs that count events; remembers what it found, because attribute sets repeat."""

    def __init__(self, definitions: Sequence[Definition], fleet: Fleet) -> None:
        counted = [one for one in definitions if isinstance(one.sli.source, EventSource)]
        self.limits_ms = tuple(sorted({float(one.sli.limit_ms) for one in counted if _is_limited(one)}))  # type: ignore[arg-type]  # _is_limited
        self.longest_seconds = max((one.window.longest_seconds for one in counted), default=0)
        self._max_groups = {one.name: one.max_groups for one in counted}
        self._rules = {one.name: self._rule(one, fleet) for one in counted}
        self._others = {one.name: one.sli.source.kind for one in definitions if one.name not in self._rules}
        self._by_host: dict[str, set[str]] = defaultdict(set)
        self._by_address: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._clusters = {one.name for one in fleet.clusters}
        for cluster in fleet.clusters:
            self._learn_addresses(cluster)
        self._described: dict[AttributeSet, tuple[Target, ...]] = {}
        self._named: dict[str, Target | str] = {}

    @property
    def attribute_names(self) -> frozenset[str]:
        """The attributes that decide what an event counts for; all others may be left out."""
        names = {CLUSTER_ATTRIBUTE, _ADDRESS, _PORT}
        for rule in self._rules.values():
            names.update(name for name, _ in rule.terms)
            if rule.source.group_attribute is not None:
                names.add(rule.source.group_attribute)
        return frozenset(names)

    def max_groups(self, slo: str) -> int:
        """How many groups of an SLO are kept apart on a cluster."""
        return self._max_groups.get(slo, 0)

    def named(self, name: str) -> Target | str:
        """The instance ``slo@cluster`` or ``slo@cluster/group``; a text says why there is none."""
        found = self._named.get(name)
        if found is None:
            if len(self._named) >= _REMEMBERED:
                self._named.clear()
            found = self._named[name] = self._find(name)
        return found

    def described(self, attributes: AttributeSet) -> tuple[Target, ...]:
        """The instances of all SLOs that match these attributes, which are sorted by name."""
        found = self._described.get(attributes)
        if found is None:
            if len(self._described) >= _REMEMBERED:
                self._described.clear()
            values = dict(attributes)
            matched = (self._target(rule, values) for rule in self._rules.values())
            found = self._described[attributes] = tuple(one for one in matched if one is not None)
        return found

    def _rule(self, definition: Definition, fleet: Fleet) -> _Rule:
        source = definition.sli.source
        assert isinstance(source, EventSource)  # noqa: S101 - only those are asked for
        limit = self.limits_ms.index(float(definition.sli.limit_ms or 0)) if _is_limited(definition) else None
        return _Rule(
            name=definition.name,
            source=source,
            terms=tuple((name, frozenset(values)) for name, values in source.match),
            clusters=frozenset(one.name for one in fleet.select(definition.selector)),
            limit=limit,
        )

    def _learn_addresses(self, cluster: Cluster) -> None:
        addresses = [one.address for one in cluster.instances]
        for endpoint in cluster.endpoints:
            addresses += endpoint.addresses
        for address in addresses:
            self._by_host[address.host].add(cluster.name)
            self._by_address[address.host, str(address.port)].add(cluster.name)

    def _find(self, name: str) -> Target | str:
        slo, _, rest = name.partition("@")
        cluster, slash, group = rest.partition("/")
        rule = self._rules.get(slo)
        shown = printable(slo, limit=80)
        if rule is None and slo in self._others:
            return f"SLO {shown} is measured by its source {self._others[slo]}, not by events"
        if rule is None:
            near = closest(slo, sorted(self._rules))
            return f"no SLO with an event source is named {shown}" + (f": did you mean {near}?" if near else "")
        if not cluster and len(rule.clusters) == 1:
            cluster = next(iter(rule.clusters))
        if cluster not in rule.clusters:
            return f"SLO {shown} does not select cluster {printable(cluster, limit=80) or '(none named)'}"
        if slash and rule.source.group_attribute is None:
            return f"SLO {shown} has no groups"
        return Target(slo, cluster, self._group(rule, group), rule.limit)

    def _target(self, rule: _Rule, values: dict[str, str]) -> Target | None:
        if not rule.terms or any(values.get(name) not in allowed for name, allowed in rule.terms):
            return None  # an SLO without a match takes events that name it
        if _METRIC in values and all(name != _METRIC for name, _ in rule.terms):
            return None  # the same requests come as spans: a point counts only where its metric is asked for by name
        cluster = self._cluster(rule, values)
        if cluster is None:
            return None
        return Target(rule.name, cluster, self._group(rule, values.get(rule.source.group_attribute or "", "")), rule.limit)

    def _cluster(self, rule: _Rule, values: dict[str, str]) -> str | None:
        """The cluster that the event names, else the one that its address belongs to, else the only one there is."""
        if CLUSTER_ATTRIBUTE in values:
            return values[CLUSTER_ATTRIBUTE] if values[CLUSTER_ATTRIBUTE] in rule.clusters else None
        host, port = values.get(_ADDRESS), values.get(_PORT)
        known: set[str] = set()
        if host is not None:
            known = self._by_address.get((host, port), set()) if port is not None else self._by_host.get(host, set())
        if known:
            found = known & rule.clusters
            return next(iter(found)) if len(found) == 1 else None
        return next(iter(rule.clusters)) if len(rule.clusters) == 1 else None

    @staticmethod
    def _group(rule: _Rule, value: str) -> str:
        if rule.source.group_attribute is None:
            return ""
        return printable(value, limit=_GROUP_LENGTH) or OTHER_GROUP


def _is_limited(definition: Definition) -> bool:
    return definition.sli.kind is not SliKind.AVAILABILITY and definition.sli.limit_ms is not None
