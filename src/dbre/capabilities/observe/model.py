"""The documents ``probe:`` and ``exporter:`` of ``dbre.yaml``, and what the prober says of an endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from pydantic import Field, field_validator, model_validator

from dbre.core.config import Document, Duration, Section
from dbre.core.fleet import EndpointPurpose
from dbre.core.units import format_duration
from dbre.ports.probe import Outcome, ProbeDeadlines, ProbeObservation
from dbre.ports.session import Role

__all__ = ["EXPORTER", "PROBE", "EndpointState", "ExporterDocument", "ProbeDocument"]

_SHORTEST_INTERVAL = timedelta(milliseconds=100)


class ProbeDocument(Document):
    """How endpoints are probed."""

    interval: Duration = Field(timedelta(seconds=10), description="time between two slots of an endpoint")
    connect_timeout: Duration = Field(timedelta(seconds=2), description="limit of opening and logging in")
    statement_timeout: Duration = Field(timedelta(seconds=1), description="limit of each statement")
    total_timeout: Duration = Field(timedelta(seconds=3), description="limit of a slot; shorter than the interval")
    fresh_every: int = Field(6, ge=1, le=1000, description="every n-th slot opens a new connection")
    concurrent_connects: int = Field(200, ge=1, le=10_000, description="connections that may be opening at once")
    stall_tolerance: Duration = Field(
        timedelta(seconds=1), description="a slot that starts later than this is missed, not measured"
    )

    @model_validator(mode="after")
    def _deadlines_fit(self) -> Self:
        if self.interval < _SHORTEST_INTERVAL:
            raise ValueError(f"interval {_shown(self.interval)} is too short; the shortest is {_shown(_SHORTEST_INTERVAL)}")
        for name in ("total_timeout", "connect_timeout", "statement_timeout"):
            if getattr(self, name) >= self.interval:
                limit = _shown(self.interval)
                raise ValueError(f"{name} {_shown(getattr(self, name))} must be shorter than interval {limit}")
        return self

    @property
    def deadlines(self) -> ProbeDeadlines:
        """The limits of one probe."""
        return ProbeDeadlines(
            connect_seconds=self.connect_timeout.total_seconds(),
            statement_seconds=self.statement_timeout.total_seconds(),
            total_seconds=self.total_timeout.total_seconds(),
        )


class ExporterDocument(Document):
    """How the statistics of instances are collected for ``/metrics``."""

    enabled: bool = True
    check_interval: Duration = Field(timedelta(seconds=15), description="time between two checks that an instance is up")
    connect_timeout: Duration = timedelta(seconds=2)
    statement_timeout: Duration = timedelta(seconds=5)
    failure_threshold: int = Field(3, ge=1, le=100, description="failed checks after which checks become rarer")
    longest_pause: Duration = Field(timedelta(seconds=60), description="longest time between two checks of a dead instance")
    disabled_collectors: tuple[str, ...] = ()
    up_aliases: Mapping[str, str] = Field(
        default_factory=lambda: {"postgresql": "pg_up", "mysql": "mysql_up", "redis": "redis_up"},
        description="engine name to the name under which existing dashboards expect its up gauge",
    )

    @field_validator("up_aliases")
    @classmethod
    def _metric_names(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for engine, name in value.items():
            if not (name.isascii() and name.isidentifier()):
                raise ValueError(f"up_aliases.{engine}: {name!r} is not a metric name")
            if name == "dbre_up":
                raise ValueError(f"up_aliases.{engine}: dbre_up is always there; leave the engine out to have no alias")
        return value


def _shown(value: timedelta) -> str:
    return format_duration(value.total_seconds())


PROBE: Section[ProbeDocument] = Section(
    key="probe", shape=ProbeDocument, default=ProbeDocument, summary="how endpoints are probed"
)
EXPORTER: Section[ExporterDocument] = Section(
    key="exporter", shape=ExporterDocument, default=ExporterDocument, summary="how /metrics is filled"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """What the prober knows of one endpoint now."""

    cluster: str
    purpose: EndpointPurpose
    outcome: Outcome | None  # of the last slot that said anything of the database; None: no such slot yet
    instance: str | None  # who answered last for this endpoint
    role: Role | None
    system_id: str | None
    last: ProbeObservation | None  # the last slot, missed ones included
