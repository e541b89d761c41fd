"""The parts of an SLO's document that say what is counted: probes, real traffic, counters, queries, services."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from dbre.capabilities.slo.errors import InvalidSli
from dbre.capabilities.slo.polling.answer import check_query
from dbre.capabilities.slo.polling.expression import check_counter
from dbre.capabilities.slo.series import SLOT_SECONDS
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import EventSource, PrometheusSource, RecoveryPointSource, ServiceSource, SqlSource
from dbre.core.config import Document, Duration, between
from dbre.core.fleet import EndpointPurpose

__all__ = ["SliDocument"]

_ATTRIBUTE = r"^[A-Za-z_][A-Za-z0-9_.\-]{0,199}$"  # as OpenTelemetry names them: db.namespace
_LABEL = r"^[a-zA-Z_][a-zA-Z0-9_]{0,199}$"  # as Prometheus names them
_NAMED = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


class AvailabilityDocument(Document):
    """Probes of one purpose succeed."""

    kind: Literal["availability"]
    purpose: EndpointPurpose = Field(EndpointPurpose.WRITE, description="whose probes are counted: write, read or replica")

    def sli(self) -> Sli:
        """The indicator."""
        return Sli(kind=SliKind.AVAILABILITY, purpose=self.purpose)


class LatencyDocument(Document):
    """Probes of one query class succeed in time; a failed probe is not in time."""

    kind: Literal["latency"]
    query_class: Literal["read", "write"] = Field(description="which probes are timed")
    threshold: Duration = Field(description="a probe is good up to and including this time, from its scheduled moment")

    def sli(self) -> Sli:
        """The indicator."""
        return Sli(kind=SliKind.LATENCY, purpose=EndpointPurpose(self.query_class), limit_ms=_ms(self.threshold))


class FreshnessDocument(Document):
    """What replicas show is young enough; a failed replica probe is not fresh."""

    kind: Literal["freshness"]
    max_age: Duration = Field(description="the newest heartbeat seen on the replica is at most this old")

    def sli(self) -> Sli:
        """The indicator."""
        return Sli(kind=SliKind.FRESHNESS, purpose=EndpointPurpose.REPLICA, limit_ms=_ms(self.max_age))


def _check_match(match: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    for name, values in match.items():
        given = [values] if isinstance(values, str) else values  # an empty text is part of every text
        if not name or len(name) > 200 or not given or "" in given:
            raise InvalidSli(
                f"match has no value for the attribute {name!r}", hint="write attribute: value, or a list of values"
            )
    return match


class EventsDocument(Document):
    """Real traffic that applications or OpenTelemetry tell of."""

    kind: Literal["events"]
    match: Annotated[dict[str, str | list[str]], AfterValidator(_check_match)] = Field(
        default_factory=dict, description="attribute: value or values; empty: only events that name this SLO"
    )
    good: Literal["status", "latency"] = Field("status", description="good are events without error; latency: and in time")
    threshold: Duration | None = Field(None, description="with good: latency: good up to and including this time")
    group_by: str | None = Field(None, pattern=_ATTRIBUTE, description="an attribute each of whose values is an instance")

    @model_validator(mode="after")
    def _threshold_if_latency(self) -> Self:
        if (self.good == "latency") != (self.threshold is not None):
            raise InvalidSli(
                "a threshold and good: latency go together", hint="write good: latency and threshold: 100ms, or neither"
            )
        return self

    def sli(self) -> Sli:
        """The indicator."""
        pairs = ((name, (value,) if isinstance(value, str) else tuple(value)) for name, value in self.match.items())
        source = EventSource(match=tuple(sorted(pairs)), group_attribute=self.group_by)
        if self.threshold is None:
            return Sli(kind=SliKind.AVAILABILITY, source=source)
        return Sli(kind=SliKind.LATENCY, limit_ms=_ms(self.threshold), source=source)


class PrometheusDocument(Document):
    """Counters of a Prometheus that is there already."""

    kind: Literal["prometheus"]
    server: str = Field(pattern=_NAMED, description="its name in the section prometheus")
    bad: Annotated[str, AfterValidator(check_counter)] = Field(
        min_length=1, max_length=10_000, description="PromQL that gives counters of bad events"
    )
    total: Annotated[str, AfterValidator(check_counter)] = Field(
        min_length=1, max_length=10_000, description="PromQL that gives counters of all events"
    )
    group_label: str | None = Field(None, pattern=_LABEL, description="a label each of whose values is an instance")

    @model_validator(mode="after")
    def _queries_differ(self) -> Self:
        if "".join(self.bad.split()) == "".join(self.total.split()):
            raise InvalidSli(
                "bad and total are the same query: every event would be bad", hint="bad counts only the bad events"
            )
        return self

    def sli(self) -> Sli:
        """The indicator."""
        source = PrometheusSource(prometheus=self.server, bad=self.bad, total=self.total, group_label=self.group_label)
        return Sli(kind=SliKind.AVAILABILITY, source=source)


class SqlDocument(Document):
    """A query whose answer is a value, or a number of good and of all events."""

    kind: Literal["sql"]
    query: Annotated[str, AfterValidator(check_query)] = Field(
        min_length=1, max_length=10_000, description="gives one row with value, or with good and total"
    )
    limit: float | None = Field(None, allow_inf_nan=False, description="a value is good up to and including this one")
    interval: Annotated[Duration, between("10s", "1d")] = Field(timedelta(minutes=1), description="time between two answers")

    @model_validator(mode="after")
    def _whole_slots(self) -> Self:
        if self.interval % timedelta(seconds=SLOT_SECONDS):
            raise InvalidSli(f"interval is not a multiple of {SLOT_SECONDS} s", hint="write interval: 30s, 1m, 5m")
        return self

    def sli(self) -> Sli:
        """The indicator."""
        seconds = self.interval // timedelta(seconds=1)
        return Sli(kind=SliKind.AVAILABILITY, source=SqlSource(query=self.query, limit=self.limit, interval_seconds=seconds))


class ServiceDocument(Document):
    """The checks of one service of the stack."""

    kind: Literal["service"]
    service: str = Field(min_length=1, max_length=63, description="its name in the section stack")

    def sli(self) -> Sli:
        """The indicator."""
        return Sli(kind=SliKind.AVAILABILITY, source=ServiceSource(service=self.service))


class RecoveryPointDocument(Document):
    """What would be lost if the cluster burned down now, as its backups measure it."""

    kind: Literal["recovery_point"]
    limit: Annotated[Duration, between("1s", "30d")] = Field(description="losing at most this much is good: 5m")

    def sli(self) -> Sli:
        """The indicator."""
        return Sli(kind=SliKind.AVAILABILITY, source=RecoveryPointSource(limit_seconds=self.limit.total_seconds()))


SliDocument = Annotated[
    AvailabilityDocument
    | LatencyDocument
    | FreshnessDocument
    | EventsDocument
    | PrometheusDocument
    | SqlDocument
    | ServiceDocument
    | RecoveryPointDocument,
    Field(discriminator="kind"),
]
"""What is counted, by its ``kind``."""


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
