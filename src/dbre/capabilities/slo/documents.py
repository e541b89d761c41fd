"""The sections ``slos`` and ``alerting`` of ``dbre.yaml``."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from dbre.capabilities.slo.alert_rules import BudgetRule, BurnRule, RuleKind, Severity, check_reachable, compact_duration
from dbre.capabilities.slo.budgeting_method import Method, NoSliceData, TimeSlices
from dbre.capabilities.slo.definition import Definition, NoDataPolicy, Policies
from dbre.capabilities.slo.errors import InvalidRule, InvalidSli, InvalidWindow
from dbre.capabilities.slo.objective import check_target
from dbre.capabilities.slo.series import SLOT_SECONDS
from dbre.capabilities.slo.source_documents import SliDocument
from dbre.capabilities.slo.window import CalendarUnit, CalendarWindow, RollingWindow, Window, time_zone
from dbre.core.config import Document, Duration, Ratio, Section, between
from dbre.core.config.section import Fault
from dbre.core.selector import Selector
from dbre.core.units import format_duration

__all__ = ["ALERTING", "SLOS", "AlertingDocument", "SloDocument", "definitions_from"]

_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"  # RFC 1123 label


def _check_slots(length: timedelta) -> timedelta:
    if length % timedelta(seconds=SLOT_SECONDS):
        raise InvalidWindow(f"not a whole number of slots of {SLOT_SECONDS} s", hint="write 30s, 5m, 1h, 30d")
    return length


def _check_part(part: Decimal) -> Decimal:
    if part == 0:
        raise InvalidRule("a rule that fires when nothing is spent fires always", hint='write budget: "2%"')
    return part


def _check_selector(selector: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    Selector.of(selector)
    return selector


SlotDuration = Annotated[Duration, AfterValidator(_check_slots)]


class WindowDocument(Document):
    """The compliance period: rolling, or a unit of the civil calendar."""

    rolling: Annotated[SlotDuration, between("1m", "400d")] | None = Field(None, description="the last 30d, 28d, 7d")
    calendar: CalendarUnit | None = Field(None, description="the current day, week, month, quarter or year")
    time_zone: str | None = Field(None, description="IANA name for calendar windows, as Europe/Madrid; default UTC")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.rolling is None) == (self.calendar is None):
            raise InvalidWindow(
                "a window is either rolling or calendar",
                hint="write {rolling: 30d}, or {calendar: month, time_zone: Europe/Madrid}",
            )
        if self.time_zone is not None:
            if self.calendar is None:
                raise InvalidWindow("a rolling window has no time zone", hint="remove time_zone")
            time_zone(self.time_zone)
        return self

    def window(self) -> Window:
        """The compliance period."""
        if self.calendar is not None:
            return CalendarWindow(unit=self.calendar, time_zone=self.time_zone or "UTC")
        return RollingWindow(seconds=(self.rolling or timedelta()) // timedelta(seconds=1))


class TimeSlicesDocument(Document):
    """Slices of time that are good or bad as a whole, or count with their ratio."""

    length: Annotated[SlotDuration, between("10s", "1d")] = Field(timedelta(minutes=1), description="of one slice")
    target: Annotated[Ratio, AfterValidator(_check_part)] | None = Field(
        None, description="a slice is good with at least this part of good events; only with method: timeslices"
    )
    no_data: NoSliceData = Field(
        NoSliceData.IGNORE, description="a slice without a valid event is good, bad, ignored, or carries on the one before"
    )

    def slices(self) -> TimeSlices:
        """The slices."""
        return TimeSlices(seconds=self.length // timedelta(seconds=1), target=self.target, no_data=self.no_data)


class RuleDocument(Document):
    """One burn-rate rule; write ``budget`` (part of the budget spent in ``long``) or ``factor``."""

    name: str | None = Field(None, pattern=_NAME, description="default: severity and long window, as page-1h")
    severity: Severity = Field(description="page or ticket")
    long: SlotDuration = Field(description="the window that shows that the loss matters")
    short: SlotDuration | None = Field(None, description="the window that shows that it goes on; default a twelfth of long")
    budget: Annotated[Ratio, AfterValidator(_check_part)] | None = Field(
        None, description="fires when this part of the budget is spent within long: 2%"
    )
    factor: Decimal | None = Field(None, gt=0, le=10**9, description="fires above this burn rate: 14.4")
    for_: Duration | None = Field(None, alias="for", description="the condition must hold for this long; default at once")
    keep_firing: Duration | None = Field(None, description="ends this long after the condition ended; default the short window")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.budget is None) == (self.factor is None):
            raise InvalidRule("a rule has either a budget or a factor", hint='write budget: "2%", or factor: 14.4')
        if self.short is not None and self.short >= self.long:
            raise InvalidRule("the short window is not shorter than the long one", hint="a twelfth of it is usual: 1h and 5m")
        return self

    def rule(self) -> BurnRule:
        """The rule; where it is written as a part of the budget, its factor comes with the compliance period."""
        long_seconds = self.long // timedelta(seconds=1)
        slots = max(long_seconds // 12 // SLOT_SECONDS, 1)
        short_seconds = self.short // timedelta(seconds=1) if self.short is not None else slots * SLOT_SECONDS
        return BurnRule(
            name=self.name or f"{self.severity}-{compact_duration(long_seconds)}",
            severity=self.severity,
            factor=Fraction(self.factor or 0),
            budget_part=None if self.budget is None else Fraction(self.budget),
            long_seconds=long_seconds,
            short_seconds=short_seconds,
            for_seconds=_whole_seconds(self.for_, default=0),
            keep_firing_seconds=_whole_seconds(self.keep_firing, default=short_seconds),
        )


def _whole_seconds(duration: timedelta | None, *, default: int) -> int:
    return default if duration is None else -(-duration // timedelta(seconds=1))


class BudgetAlertDocument(Document):
    """An alert about the budget itself: how little is left, or how soon nothing will be; write one of the two."""

    name: str | None = Field(None, pattern=_NAME, description="default: budget-25, exhaustion-3d")
    severity: Severity = Field(description="page or ticket")
    remaining: Ratio | None = Field(None, description="fires when at most this part is left: 25%, or 0% when it is gone")
    within: Annotated[Duration, between("1m", "400d")] | None = Field(
        None, description="fires when the budget will be gone within this time at the pace of the last hour"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.remaining is None) == (self.within is None):
            raise InvalidRule("an alert about the budget has either remaining or within", hint='write remaining: "25%"')
        return self

    def rule(self) -> BudgetRule:
        """The rule."""
        if self.remaining is not None:
            name = f"budget-{(self.remaining * 100).to_integral_value():f}"
            kind, threshold = RuleKind.BUDGET, Fraction(self.remaining)
        else:
            seconds = (self.within or timedelta()) // timedelta(seconds=1)
            name, kind, threshold = f"exhaustion-{compact_duration(seconds)}", RuleKind.EXHAUSTION, Fraction(seconds)
        return BudgetRule(name=self.name or name, kind=kind, severity=self.severity, threshold=threshold)


class PoliciesDocument(Document):
    """How the SLO treats few events and none."""

    low_traffic_guard: bool = Field(True, description="a burn alert needs more bad events than chance gives")
    sustained_failures: int = Field(5, ge=0, le=1000, description="so many bad events in a row need no such proof; 0: never")
    no_data: NoDataPolicy = Field(NoDataPolicy.ALERT, description="lost telemetry: alert (ticket, then page), ticket, ignore")

    prorate: bool = Field(False, description="an SLO that begins within its window has only that part of the budget")

    def policies(self) -> Policies:
        """The policies."""
        return Policies(
            has_low_traffic_guard=self.low_traffic_guard,
            sustained_failures=self.sustained_failures,
            no_data=self.no_data,
            is_prorated=self.prorate,
        )


class SloDocument(Document):
    """One service level objective; it has one instance on each cluster that the selector names."""

    name: str = Field(pattern=_NAME, description="lower-case letters, digits and hyphens, at most 63 (RFC 1123 label)")
    description: str = Field("", max_length=1050)
    selector: Annotated[dict[str, str | list[str]], AfterValidator(_check_selector)] = Field(
        min_length=1, description="label: value or list of values; cluster, environment and engine are labels too"
    )
    sli: SliDocument
    target: Annotated[Ratio, AfterValidator(check_target)] = Field(description="strictly between 0 and 1: 99.9% or 0.999")
    window: WindowDocument
    method: Method = Field(Method.OCCURRENCES, description="what the budget counts: occurrences, timeslices, ratio_timeslices")
    time_slices: TimeSlicesDocument | None = Field(None, description="with the methods by time: their length and what is good")
    max_groups: int = Field(100, ge=1, le=10_000, description="groups of one cluster; what comes behind counts as __other__")
    roll_up: bool = Field(True, description="a grouped SLO also has an instance for all groups together")
    alerts: list[RuleDocument] | None = Field(
        None, max_length=20, description="rules of your own; default: four by the SRE Workbook"
    )
    budget_alerts: list[BudgetAlertDocument] = Field(
        default_factory=list, max_length=20, description="alerts about what is left of the budget"
    )
    policies: PoliciesDocument = PoliciesDocument()

    @model_validator(mode="after")
    def _slices_fit(self) -> Self:
        given = self.time_slices
        if (self.method is Method.OCCURRENCES) != (given is None):
            hint = "write method: timeslices and time_slices: {length: 1m, target: 95%}, or neither"
            raise InvalidSli(f"method {self.method} and time_slices do not go together", hint=hint)
        if given is None:
            return self
        if (self.method is Method.TIMESLICES) != (given.target is not None):
            hint = "with method: timeslices write target: 95%; with ratio_timeslices none, because the ratio itself counts"
            raise InvalidSli(f"time_slices.target does not go with method {self.method}", hint=hint)
        seconds, period = given.slices().seconds, self.window.window()
        odd = [
            one
            for rule in self.definition().rules_for(period.longest_seconds)
            for one in (rule.long_seconds, rule.short_seconds)
        ]
        odd += [period.seconds] if isinstance(period, RollingWindow) else [3_600]
        if wrong := next((one for one in odd if one % seconds), None):
            raise InvalidSli(
                f"time_slices.length {format_duration(seconds)} does not divide the window of {format_duration(wrong)}",
                hint="write a length of 1m or 5m, or windows that are multiples of it",
            )
        return self

    @model_validator(mode="after")
    def _rules_can_fire(self) -> Self:
        period = self.window.window().longest_seconds
        rules = self.definition().rules_for(period)
        names = Counter([*(rule.name for rule in rules), *(rule.name for rule in self.definition().budget_rules)])
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise InvalidRule(f"two alert rules are named {twice[0]}", hint="give each a name of its own")
        for rule in rules:
            if rule.long_seconds > period:
                raise InvalidRule(
                    f"rule {rule.name} looks back over {format_duration(rule.long_seconds)}, and the window of the SLO lasts"
                    f" {format_duration(period)}",
                    hint="write a shorter long window",
                )
            check_reachable(rule, target=self.target, period_seconds=period)
        return self

    def definition(self) -> Definition:
        """The SLO that the document describes."""
        window = self.window.window()
        rules = None if self.alerts is None else tuple(one.rule() for one in self.alerts)
        return Definition(
            name=self.name,
            description=self.description,
            selector=Selector.of(self.selector),
            sli=self.sli.sli(),
            target=self.target,
            window=window,
            rules=rules,
            policies=self.policies.policies(),
            slices=None if self.time_slices is None else self.time_slices.slices(),
            budget_rules=tuple(one.rule() for one in self.budget_alerts),
            max_groups=self.max_groups,
            has_roll_up=self.roll_up,
        )


class AlertingDocument(Document):
    """How often SLOs are evaluated, and when silence is an alert."""

    evaluation_interval: Annotated[Duration, between("200ms", "10m")] = Field(
        timedelta(seconds=10), description="time between two evaluations"
    )
    telemetry_lost_after: Annotated[Duration, between("10s", "1d")] = Field(
        timedelta(minutes=1), description="no valid event for this long is a ticket, for five times as long a page"
    )


def _names_once(documents: Any) -> Iterator[Fault]:
    seen = set()
    for index, one in enumerate(documents if isinstance(documents, list) else ()):
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and name in seen:
            hint = "a name is unique over all files; rename one of them"
            yield Fault(path=(index, "name"), message=f"another SLO has the name {name}", hint=hint)
        seen.add(name)


def definitions_from(documents: tuple[SloDocument, ...]) -> tuple[Definition, ...]:
    """The definitions of the section ``slos``."""
    return tuple(document.definition() for document in documents)


SLOS: Section[tuple[SloDocument, ...]] = Section(
    key="slos",
    shape=tuple[SloDocument, ...],
    default=tuple,
    summary="service level objectives: what is promised, over which time, and who is told when it breaks",
    faults=_names_once,
)

ALERTING: Section[AlertingDocument] = Section(
    key="alerting", shape=AlertingDocument, default=AlertingDocument, summary="evaluation of SLOs and alerts"
)
