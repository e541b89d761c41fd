"""``fleet.check``: every read-only check on one cluster; the findings are the outcome."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dbre.capabilities.review.checks import CHECKS
from dbre.capabilities.review.contact_rules import finding_of
from dbre.capabilities.review.looking import ClusterLook
from dbre.core.checks import Check, CheckRegistry, Finding, Severity, worst_first
from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.fleet import Fleet
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, step
from dbre.core.operation.plan import LockMode, Plan, Risk, Step
from dbre.core.text import counted
from dbre.ports.engine import EngineRegistry

__all__ = ["CheckFleet", "CheckFleetInput", "finding_row"]

_MOST_FINDINGS = 200  # of one check; a plan's journal is no data store
Name = Annotated[str, Field(min_length=1, max_length=200)]


class CheckFleetInput(BaseModel):
    """Which cluster to look at, and with which checks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Name
    checks: list[Name] = Field(default_factory=list)
    """Ids of checks; none means all."""


class CheckFleet(Operation[CheckFleetInput]):
    """Look at a cluster; nothing is changed, so nothing is undone and nobody is asked."""

    kind, version = "fleet.check", 1
    document = CheckFleetInput

    def __init__(self, *, fleet: Fleet, engines: EngineRegistry, clock: Clock, more: Sequence[Check] = ()) -> None:
        """``more`` are checks of other capabilities."""
        self._checks = CheckRegistry((*CHECKS.all(), *more))
        self._fleet = fleet
        self._engines = engines
        self._clock = clock

    async def plan(self, context: PlanContext, asked: CheckFleetInput) -> Plan:  # noqa: ARG002 - the port's signature
        """One step a check; asks no server. Raises: UsageError for unknown clusters and checks."""
        cluster = self._fleet.cluster(asked.cluster)
        wanted = list(dict.fromkeys(asked.checks)) or [one.id for one in self._checks.all()]
        checks = [self._checks.get(name) for name in wanted]
        steps = [Step(f"check:{one.id}", summary=one.title, input={"check": one.id}) for one in checks]
        return Plan(
            target=f"cluster/{cluster.name}",
            summary=f"look at {counted(len(cluster.instances), 'instance')} of {cluster.name}: {counted(len(checks), 'check')}",
            steps=(*steps, Step("report", summary="put the findings together, the worst first")),
            risk=Risk.READ,
            lock=LockMode.SHARED,
            observed={"instances": {one.name: str(one.address) for one in cluster.instances}},
        )

    @step(timeout_seconds=180.0, idempotent=True)
    async def check(self, context: StepContext) -> Mapping[str, Any]:
        """Run one check. What it cannot look at is a finding too."""
        name = context.input["check"]
        cluster = self._fleet.cluster(context.plan.target.rpartition("/")[2])
        look = ClusterLook(cluster, self._engines, self._clock, application_name=context.application_name)
        try:
            findings = list(await self._checks.get(name).run(look))
        except DbreError as error:
            findings = [finding_of(error, rule=f"{name}.not_checked", subject=cluster.name)]
        await context.note(f"{name}: {counted(len(findings), 'finding')}")
        rows = [finding_row(one) for one in worst_first(findings)]
        return {"check": name, "findings": rows[:_MOST_FINDINGS], "left_out": max(len(rows) - _MOST_FINDINGS, 0)}

    @step(timeout_seconds=10.0, idempotent=True)
    async def report(self, context: StepContext) -> Mapping[str, Any]:
        """All findings of the steps before, the worst first."""
        rows = [row for one in context.results.values() for row in one.get("findings", [])]
        rows.sort(key=lambda row: (-Severity(row["severity"]).weight, row["subject"], row["rule"]))
        counts = {severity.value: sum(row["severity"] == severity.value for row in rows) for severity in Severity}
        return {"findings": rows, "counts": counts, "worst": rows[0]["severity"] if rows else None}


def finding_row(finding: Finding) -> dict[str, Any]:
    """A finding as JSON."""
    return {
        "severity": finding.severity.value,
        "subject": finding.subject,
        "rule": finding.rule,
        "summary": finding.summary,
        "fix": finding.fix,
        "evidence": {key: _plain(value) for key, value in finding.evidence.items()},
    }


def _plain(value: object) -> Any:
    """Evidence holds what a check found convenient; JSON takes the rest as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
