"""What an SLO's state looks like to commands, pages and other parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from dbre.capabilities.slo.alert_rules import RuleKind, Severity
from dbre.capabilities.slo.alert_state import AlertState, TrackedAlert, Transition
from dbre.capabilities.slo.budgeting_method import Method
from dbre.capabilities.slo.counts import NOTHING, Counts
from dbre.capabilities.slo.definition import instance_id
from dbre.capabilities.slo.error_budget import Budget
from dbre.capabilities.slo.exhaustion import Exhaustion
from dbre.capabilities.slo.sli import Sli
from dbre.capabilities.slo.telemetry_state import TelemetryState
from dbre.capabilities.slo.window import Window, WindowSpan

__all__ = [
    "AlertChange",
    "AlertKey",
    "AlertRecord",
    "BurnDown",
    "BurnDownPoint",
    "BurnReading",
    "RuleKind",
    "RuleStatus",
    "SloStatus",
    "VersionPart",
    "worst_first",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStatus:
    """One rule of one SLO instance, and where its alert stands."""

    rule: str
    kind: RuleKind
    severity: Severity
    state: AlertState
    since: datetime | None  # when the state began; None: never left inactive
    fired_at: datetime | None
    alert_id: str | None
    threshold: Fraction  # burn: the factor; telemetry: seconds of silence; budget: what is left; exhaustion: seconds until then
    burn_rate: Fraction | None  # burn: over the long window, as the rule counts it; None for telemetry rules
    short_burn_rate: Fraction | None
    long_seconds: int
    short_seconds: int
    for_seconds: int  # the condition must hold for so long
    keep_firing_seconds: int  # and be gone for so long
    is_guarded: bool  # the windows burn, but so few bad events may be chance
    is_met: bool | None  # the condition now; None: nothing was measured, so nobody can tell
    is_suppressed: bool  # a page of the same instance covers this ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnReading:
    """The burn rate over one window, on the events seen there; None: no valid event."""

    window_seconds: int
    counts: Counts
    rate: Fraction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPart:
    """An earlier version of the SLO within the window; what it spent stays spent as it counted."""

    start: datetime
    end: datetime
    objective: Decimal
    counts: Counts
    consumed_ratio: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class SloStatus:
    """One SLO instance at one moment."""

    name: str
    cluster: str
    description: str
    sli: Sli
    objective: Decimal
    window: Window
    at: WindowSpan
    counts: Counts
    budget: Budget
    burn_rates: tuple[BurnReading, ...]  # shortest window first
    alerts: tuple[RuleStatus, ...]
    telemetry: TelemetryState
    exhaustion: Exhaustion
    corrupt_slots: int  # stored slots whose counts contradict each other; they are left out of every sum
    measured_since: datetime | None  # the oldest slot that is counted; None: none yet
    definition_since: datetime | None  # when the present version of the definition took effect; None: not stored yet
    interval_seconds: float  # of the probes; the scheduled volume follows from it; 0: events come when they come
    group: str = ""  # empty: the SLO has no groups, or this is all of them together
    method: Method = Method.OCCURRENCES
    events: Counts = NOTHING  # of the window, whatever the method; ``counts`` are slices where slices are good or bad
    exact_ratio: Fraction | None = None
    versions: tuple[VersionPart, ...] = ()  # earlier ones, the oldest first
    raw_events: Counts = NOTHING  # with what corrections leave out
    raw_budget: Budget | None = None  # without any correction; the assessment always gives it
    corrected_seconds: int = 0  # of the window

    @property
    def id(self) -> str:
        """``slo@cluster``, with the group behind a slash where there is one."""
        return instance_id(self.name, self.cluster, self.group)

    @property
    def ratio(self) -> Fraction | None:
        """The SLI over the window, exact; None where there was no valid event."""
        return self.exact_ratio

    @property
    def good(self) -> int:
        """Good events in the window."""
        return self.counts.good

    @property
    def bad(self) -> int:
        """Bad events in the window."""
        return self.counts.bad

    @property
    def total(self) -> int:
        """Valid events in the window: good and bad."""
        return self.counts.total

    @property
    def missed(self) -> int:
        """Scheduled probes that did not run."""
        return self.counts.missed

    @property
    def excluded(self) -> int:
        """Probes that failed by our own fault."""
        return self.counts.excluded

    @property
    def active_alerts(self) -> tuple[RuleStatus, ...]:
        """Alerts of which somebody was told and that are not over."""
        return tuple(one for one in self.alerts if one.state in (AlertState.FIRING, AlertState.RESOLVING))


def worst_first(statuses: Sequence[SloStatus]) -> list[SloStatus]:
    """Pages first, then tickets, then the least budget left; equal ones by name, so that lists do not dance."""

    def key(status: SloStatus) -> tuple[int, Fraction, str]:
        severities = {alert.severity for alert in status.active_alerts}
        rank = 0 if Severity.PAGE in severities else 1 if severities else 2
        return rank, status.budget.remaining_ratio, status.id

    return sorted(statuses, key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecord:
    """One alert from firing to resolved, as it is stored."""

    alert_id: str
    sequence: int  # of its newest transition; grows over all alerts of a store
    slo: str
    cluster: str
    rule: str
    severity: Severity
    fired_at: datetime
    resolved_at: datetime | None
    burn_rate: float | None
    threshold: float
    budget_remaining_ratio: float
    window_seconds: int
    telemetry_state: TelemetryState
    summary: str
    group: str = ""

    @property
    def instance(self) -> str:
        """The SLO instance: ``slo@cluster`` or ``slo@cluster/group``."""
        return instance_id(self.slo, self.cluster, self.group)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertKey:
    """One rule of one SLO instance."""

    slo: str
    cluster: str
    rule: str
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChange:
    """The next state of one alert, and with a transition all that its event tells."""

    key: AlertKey
    tracked: TrackedAlert
    transition: Transition | None = None
    record: AlertRecord | None = None  # with a transition; its sequence is given out on writing


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnDownPoint:
    """What was left of the budget at one moment; between two points nothing lies outside their values."""

    at: datetime
    remaining_ratio: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnDown:
    """The budget over time, thinned to at most ``limit`` points such that minima and maxima survive."""

    slo: str
    cluster: str
    start: datetime
    end: datetime
    points: tuple[BurnDownPoint, ...]
    group: str = ""
