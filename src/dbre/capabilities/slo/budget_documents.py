"""The section ``error_budget_policies`` of ``dbre.yaml``."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from dbre.capabilities.slo.alert_rules import Severity
from dbre.capabilities.slo.budget_policy import AlertFires, BudgetAtMost, BudgetPolicy, BurnAtLeast, Condition, Consequence
from dbre.capabilities.slo.documents import SlotDuration
from dbre.core.config import Document, Ratio, Section, between
from dbre.core.config.section import Fault
from dbre.core.errors import UsageError
from dbre.core.gates.document import KindPatterns, SelectorLabels, Tag
from dbre.core.gates.scope import EXEMPT_TAGS, Scope
from dbre.core.operation.plan import Risk
from dbre.core.selector import Selector

__all__ = ["ERROR_BUDGET_POLICIES", "BudgetPolicyDocument", "ConditionDocument", "budget_policies"]

_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
SloPattern = Annotated[str, Field(pattern=r"^[a-z0-9*?-]{1,63}$")]


class ConditionDocument(Document):
    """One condition: what is left of the budget, how fast it burns, or an alert that fires."""

    budget_at_most: Ratio | None = Field(default=None, description='At most this part of the budget is left: "10%"')
    burn_at_least: Decimal | None = Field(default=None, gt=0, le=10**9, description="It burns at least so fast over `over`")
    over: Annotated[SlotDuration, between("1m", "30d")] | None = Field(default=None, description="The window of burn_at_least")
    alert: Severity | None = Field(default=None, description="A page fires; ticket: a ticket or a page")

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [one for one in (self.budget_at_most, self.burn_at_least, self.alert) if one is not None]
        if len(given) != 1:
            raise UsageError(
                "a condition is one of budget_at_most, burn_at_least, alert",
                hint='write {budget_at_most: "10%"}, {burn_at_least: 14.4, over: 1h} or {alert: page}',
            )
        if (self.burn_at_least is None) != (self.over is None):
            raise UsageError("burn_at_least and over belong together", hint="write {burn_at_least: 14.4, over: 1h}")
        return self

    def condition(self) -> Condition:
        """The condition of the document."""
        if self.budget_at_most is not None:
            return BudgetAtMost(remaining=Fraction(self.budget_at_most))
        if self.burn_at_least is not None and self.over is not None:
            return BurnAtLeast(rate=Fraction(self.burn_at_least), seconds=int(self.over.total_seconds()))
        return AlertFires(severity=self.alert or Severity.PAGE)


class BudgetPolicyDocument(Document):
    """What happens to changes when an error budget is short."""

    name: str = Field(pattern=_NAME, description="Lower-case letters, digits and hyphens, at most 63")
    selector: SelectorLabels = Field(default_factory=dict, description="Which clusters: label to value or list; default: all")
    slos: tuple[SloPattern, ...] = Field(
        default=("*",), min_length=1, description="Which SLOs on the target's cluster: names, with * and ?"
    )
    kinds: KindPatterns | None = Field(default=None, description="Kinds of operation, with * and ?; default: by risk alone")
    risk: Literal["mild", "moderate", "severe"] = Field(
        default="moderate", description="From which risk on; without effect where kinds are given"
    )
    exempt: tuple[Tag, ...] = Field(default=EXEMPT_TAGS, alias="except", description="Tags of plans that are exempt")
    when: tuple[ConditionDocument, ...] = Field(default=(), max_length=20, description="One of them is enough")
    then: Consequence = Field(description="allow, require_approval, hold, refuse; allow: no later policy is asked")
    asked: Literal["start", "always"] = Field(
        default="always", description="Before the start only, or at each step and each second of long steps as well"
    )
    telemetry_lost: Literal["allow", "hold", "refuse"] = Field(
        default="hold", description="When an SLO has lost its telemetry; what repairs (rollback, restore, ...) goes on anyway"
    )

    @model_validator(mode="after")
    def _has_condition(self) -> Self:
        if not self.when and self.then is not Consequence.ALLOW:
            raise UsageError(
                f"policy {self.name} has no condition",
                hint="write when: [{alert: page}]; a freeze window stops changes without one",
            )
        return self

    def policy(self) -> BudgetPolicy:
        """The policy of the document."""
        return BudgetPolicy(
            name=self.name,
            scope=Scope(kinds=self.kinds, risk=Risk(self.risk), selector=Selector.of(self.selector), exempt=self.exempt),
            when=tuple(one.condition() for one in self.when),
            then=self.then,
            slos=self.slos,
            is_for_start_only=self.asked == "start",
            telemetry_lost=Consequence(self.telemetry_lost),
        )


def _default() -> tuple[BudgetPolicyDocument, ...]:
    """An outage stops changes, also those under way; a spent budget stops new ones."""
    paged = {"name": "outage", "when": [{"alert": "page"}], "then": "hold"}
    spent = {"name": "budget-spent", "when": [{"budget_at_most": "0%"}], "then": "hold", "asked": "start"}
    return tuple(BudgetPolicyDocument.model_validate(one) for one in (paged, spent))


def budget_policies(documents: tuple[BudgetPolicyDocument, ...]) -> tuple[BudgetPolicy, ...]:
    """The policies of the section."""
    return tuple(one.policy() for one in documents)


def _names_once(documents: Any) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, one in enumerate(documents if isinstance(documents, list) else ()):
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and name in seen:
            yield Fault(path=(index, "name"), message=f"another policy has the name {name}", hint="rename one of them")
        seen.add(name if isinstance(name, str) else "")


ERROR_BUDGET_POLICIES: Section[tuple[BudgetPolicyDocument, ...]] = Section(
    key="error_budget_policies",
    shape=tuple[BudgetPolicyDocument, ...],
    default=_default,
    summary="what happens to changes when an error budget is short, burns, or an alert fires",
    faults=_names_once,
)
