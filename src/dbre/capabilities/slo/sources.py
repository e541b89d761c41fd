"""Where the events of an SLI come from. Each source has one identity: what it counts, as a document."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = [
    "EventSource",
    "ProbeSource",
    "PrometheusSource",
    "RecoveryPointSource",
    "ServiceSource",
    "SliSource",
    "SourceKind",
    "SqlSource",
]


class SourceKind(StrEnum):
    """Who measures."""

    PROBE = "probe"  # our own probes
    EVENTS = "events"  # real traffic, told by applications or by OpenTelemetry
    PROMETHEUS = "prometheus"  # counters of a Prometheus that is there already
    SQL = "sql"  # a query whose answer is a value
    RECOVERY_POINT = "recovery_point"  # how much would be lost if the cluster burned down now
    SERVICE = "service"  # a check of the stack: Prometheus, Alertmanager, any HTTP or TCP service


class SliSource(Protocol):
    """What every source has."""

    @property
    def kind(self) -> SourceKind:
        """Who measures."""
        ...

    def as_document(self) -> dict[str, object]:
        """What is counted, in plain values: part of the identity of the SLI."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSource:
    """Our own probes; which ones is said by the purpose of the SLI."""

    @property
    def kind(self) -> SourceKind:
        """``probe``."""
        return SourceKind.PROBE

    def as_document(self) -> dict[str, object]:
        """Nothing but its kind."""
        return {"kind": self.kind.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """Real traffic. ``match`` picks the events by their attributes: all of them must have one of the given values.

    An event that names the SLO itself needs no match. Latency SLIs compare the event's duration with ``Sli.limit_ms``.
    """

    match: tuple[tuple[str, tuple[str, ...]], ...] = ()
    group_attribute: str | None = None  # whose values are groups: db.namespace, tenant

    @property
    def kind(self) -> SourceKind:
        """``events``."""
        return SourceKind.EVENTS

    def as_document(self) -> dict[str, object]:
        """The match."""
        match = {name: list(values) for name, values in sorted(self.match)}
        return {"kind": self.kind.value, "match": match, "group_attribute": self.group_attribute}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusSource:
    """Two PromQL expressions that give counters, summed by the label that names the group; ``prometheus`` names the server.

    ``{cluster}`` in an expression is replaced by the cluster's name, escaped.
    """

    prometheus: str
    bad: str
    total: str
    group_label: str | None = None

    @property
    def kind(self) -> SourceKind:
        """``prometheus``."""
        return SourceKind.PROMETHEUS

    def as_document(self) -> dict[str, object]:
        """Server and expressions."""
        document: dict[str, object] = {"kind": self.kind.value, "prometheus": self.prometheus, "bad": self.bad}
        return {**document, "total": self.total, "group_label": self.group_label}


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSource:
    """A query in a read-only session whose single row holds ``value`` (or ``good`` and ``total``), asked at each interval.

    A value is good while ``value <= limit``.
    """

    query: str
    limit: float | None
    interval_seconds: int = 60

    @property
    def kind(self) -> SourceKind:
        """``sql``."""
        return SourceKind.SQL

    def as_document(self) -> dict[str, object]:
        """The query and its limit."""
        document: dict[str, object] = {"kind": self.kind.value, "query": self.query, "limit": self.limit}
        return {**document, "interval_seconds": self.interval_seconds}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSource:
    """The checks of one service of the stack (section ``stack``)."""

    service: str

    @property
    def kind(self) -> SourceKind:
        """``service``."""
        return SourceKind.SERVICE

    def as_document(self) -> dict[str, object]:
        """The service."""
        return {"kind": self.kind.value, "service": self.service}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPointSource:
    """How many seconds of changes would be lost if the cluster burned down; at most ``limit_seconds`` is good.

    Whoever backs the cluster up measures it. Not to know it is bad: nobody could say that less would be lost.
    """

    limit_seconds: float

    @property
    def kind(self) -> SourceKind:
        """``recovery_point``."""
        return SourceKind.RECOVERY_POINT

    def as_document(self) -> dict[str, object]:
        """The limit."""
        return {"kind": self.kind.value, "limit_seconds": self.limit_seconds}
