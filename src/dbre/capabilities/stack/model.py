"""What a check of a service says."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["CheckResult", "ServiceKind", "ServiceState", "Verdict"]


class ServiceKind(StrEnum):
    """What a service is, and so how it is asked."""

    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"
    LOKI = "loki"
    GRAFANA = "grafana"
    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    REDIS = "redis"
    RABBITMQ = "rabbitmq"
    HTTP = "http"
    TCP = "tcp"


class ServiceState(StrEnum):
    """How a service is doing."""

    UP = "up"
    DEGRADED = "degraded"  # it answers, but late, or says itself that something is wrong
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found out about a service that was asked; ``detail`` is printable."""

    state: ServiceState
    detail: str
    version: str | None = None  # None: it does not tell


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check. ``latency_seconds`` None: there was no answer in time."""

    service: str
    kind: ServiceKind
    url: str
    state: ServiceState
    detail: str
    version: str | None
    latency_seconds: float | None
    at: datetime  # UTC, when the check was due
    since: datetime | None = None  # of this state, where that is known
