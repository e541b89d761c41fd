"""Which incident an alert belongs to: pure rules over what is known of open and recent incidents."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum

from dbre.capabilities.incident.model import Incident, IncidentAlert, Severity
from dbre.capabilities.incident.states import REOPEN_WITHIN, IncidentState

__all__ = ["Candidate", "Nearness", "Rules", "find_home", "severity_of"]


class Nearness(IntEnum):
    """How an alert is related to an incident, the closest first."""

    SAME_INSTANCE = 0  # the same SLO of the same cluster and group
    SAME_CLUSTER = 1
    NEIGHBOUR = 2  # a cluster that this one depends on, or that depends on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When alerts belong together. ``dependencies`` names, for each cluster, those that it depends on."""

    join_within: timedelta = timedelta(minutes=10)
    reopen_within: timedelta = timedelta(minutes=30)
    dependencies: Mapping[str, Collection[str]]

    def is_neighbour(self, one: str, other: str) -> bool:
        """Whether one of two clusters depends on the other."""
        return other in self.dependencies.get(one, ()) or one in self.dependencies.get(other, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An incident that an alert might belong to, with its alerts."""

    incident: Incident
    alerts: Sequence[IncidentAlert]

    @property
    def clusters(self) -> frozenset[str]:
        """The clusters that it touches."""
        return frozenset({self.incident.cluster, *(one.cluster for one in self.alerts)} - {""})

    @property
    def last_fired_at(self) -> datetime:
        """When something last happened to it."""
        return max([self.incident.detected_at, *(one.fired_at for one in self.alerts)])


def find_home(alert: IncidentAlert, candidates: Sequence[Candidate], rules: Rules) -> tuple[Candidate, Nearness] | None:
    """The incident that an alert joins or opens again; None: it opens one of its own.

    The same SLO instance joins for as long as its incident is open, and opens it again within ``reopen_within`` of its
    end. Other SLOs of the cluster, and clusters that depend on each other, join within ``join_within`` of the incident's
    newest alert. The closest wins, then the one where something happened last.
    """
    found: list[tuple[Nearness, Candidate]] = []
    for one in candidates:
        nearness = _nearness(alert, one, rules)
        if nearness is not None:
            found.append((nearness, one))
    if not found:
        return None
    nearness, home = min(found, key=lambda pair: (pair[0], not pair[1].incident.is_open, -pair[1].last_fired_at.timestamp()))
    return home, nearness


def _nearness(alert: IncidentAlert, one: Candidate, rules: Rules) -> Nearness | None:
    incident = one.incident
    instances = {other.instance for other in one.alerts}
    clusters = one.clusters
    if not incident.is_open:
        if incident.state in (IncidentState.MERGED, IncidentState.FALSE_POSITIVE) or incident.resolved_at is None:
            return None
        is_recent = alert.fired_at - incident.resolved_at <= min(rules.reopen_within, REOPEN_WITHIN)
        return Nearness.SAME_INSTANCE if is_recent and alert.instance in instances else None
    if alert.instance in instances:
        return Nearness.SAME_INSTANCE
    if abs(alert.fired_at - one.last_fired_at) > rules.join_within:
        return None
    if alert.cluster in clusters:
        return Nearness.SAME_CLUSTER
    if any(rules.is_neighbour(alert.cluster, other) for other in clusters):
        return Nearness.NEIGHBOUR
    return None


_FAST = 14.4  # spends 2 % of a 30-day budget in an hour. Source: SRE Workbook, ch. 5, table 5-8
_MEDIUM = 6.0  # 5 % in six hours
_USUAL_TIER = 1


def severity_of(*, burn_rate: float | None, remaining_ratio: float | None, tier: str | None) -> Severity:
    """How bad a page is, from how fast the budget burns and how much hangs on the cluster (its label ``tier``, 0 the most).

    A fast burn or an exhausted budget is SEV1 at tier 0, SEV2 at tier 1, and so on; a medium burn is one less bad, a slow
    one two. A cluster without the label counts as tier 1.

    >>> severity_of(burn_rate=14.4, remaining_ratio=0.9, tier="0"), severity_of(burn_rate=6.0, remaining_ratio=0.9, tier=None)
    (<Severity.SEV1: 'sev1'>, <Severity.SEV3: 'sev3'>)
    """
    is_exhausted = remaining_ratio is not None and remaining_ratio <= 0
    rate = Decimal(str(burn_rate)) if burn_rate is not None else Decimal(0)
    below = 0 if is_exhausted or rate >= Decimal(str(_FAST)) else 1 if rate >= Decimal(str(_MEDIUM)) else 2
    digits = (tier or "").lower().removeprefix("tier").lstrip("-_")
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 3 else _USUAL_TIER
    return Severity(f"sev{min(1 + below + number, 4)}")
