"""``ha.dr_rehearse``: everything of the plan but the promotion."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dbre.capabilities.ha.disaster.acting import cluster_of, keep, obstacle_row, prove_everywhere
from dbre.capabilities.ha.disaster.documents import RehearseInput
from dbre.capabilities.ha.disaster.ground import DisasterGround
from dbre.capabilities.ha.disaster.measures import Action
from dbre.capabilities.ha.disaster.rules import checks_of
from dbre.capabilities.ha.disaster.surveying import DisasterSurvey, instance_in, look, require_candidate
from dbre.capabilities.ha.route.turning import turn_all_back
from dbre.capabilities.ha.switchover.assessment import assess
from dbre.capabilities.ha.switchover.checks import CheckState
from dbre.core.errors import DbreError
from dbre.core.fleet import Address
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, step
from dbre.core.operation.plan import LockMode, Plan, Risk, Step
from dbre.core.text import printable
from dbre.ports.route import Route, RouteState
from dbre.ports.succession import Obstacle

__all__ = ["Rehearse"]

_SHORT_SECONDS = 900.0
_NOT_REHEARSED = ("rehearsal", "primary_at_home")
"""The first would never become good; the second is no matter of whether the plan works."""


class Rehearse(Operation[RehearseInput]):
    """Nobody is promoted, and nothing is done to clients; what fails is told and kept, and stops nothing."""

    kind, version = "ha.dr_rehearse", 1
    document = RehearseInput

    def __init__(self, ground: DisasterGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: RehearseInput) -> Plan:  # noqa: ARG002 - sweeps name themselves
        """Find out who would take over. Raises: PrecheckFailed where nobody could."""
        ground = self._ground
        cluster = ground.fleet.cluster(asked.cluster)
        found = await look(ground, cluster, ground.plan_of(cluster), to=asked.to)
        primary, candidate = require_candidate(found)
        pair = {"from": primary.name, "to": candidate.name, "site": found.there.name}
        before = {one.name: await _state_of(one) for one in ground.rehearsal_routes(cluster)}
        steps = [
            Step("look", summary="see every promise of the plan, and every check of a planned change of primary", input=pair),
            Step("prove", summary=f"write to {primary.name} and read back", input=pair),
        ]
        if before:
            summary = f"lead the records for rehearsals {', '.join(before)} to {candidate.name} and back"
            steps.append(Step("turn-records", summary=summary, input=pair | {"before": before}))
        steps.append(Step("keep", summary="keep what was found", input=pair))
        return Plan(
            target=f"cluster/{cluster.name}",
            summary=f"rehearse the loss of {found.here.name if found.here is not None else '?'}: "
            f"{candidate.name} at {found.there.name} would take over",
            steps=tuple(steps),
            risk=Risk.MILD,
            lock=LockMode.YIELDING,
            observed={"primary": primary.name, "candidate": candidate.name, "site": found.there.name},
        )

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def look(self, context: StepContext) -> Mapping[str, Any]:
        """Fences are tried without acting, routes are asked; what promoting would lose is told."""
        ground, cluster = self._ground, cluster_of(self._ground, context)
        found = await look(ground, cluster, ground.plan_of(cluster), to=context.input["site"])
        checks = [one for one in checks_of(found, now=ground.clock.now()) if one.rule not in _NOT_REHEARSED]
        checks += await self._switchover_checks(context, found)
        exposure = found.exposure
        return {
            "began_at": ground.clock.now().isoformat(),
            "checks": [obstacle_row(one) for one in checks],
            "lost_bytes": exposure.bytes if exposure is not None else None,
            "lost_transactions": exposure.transactions if exposure is not None else None,
            "lost_seconds": exposure.seconds if exposure is not None else None,
            "loss": exposure.text if exposure is not None else None,
        }

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def prove(self, context: StepContext) -> Mapping[str, Any]:
        """At the primary of now."""
        cluster = cluster_of(self._ground, context)
        primary = instance_in(cluster, context.input["from"])
        return await prove_everywhere(self._ground, cluster, self._ground.plan_of(cluster), primary)

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def turn_records(self, context: StepContext) -> Mapping[str, Any]:
        """There and back, with the keys and at the servers of the real ones."""
        cluster = cluster_of(self._ground, context)
        address = instance_in(cluster, context.input["to"]).address
        told, checks = context.input["before"], list[Obstacle]()
        for route in self._ground.rehearsal_routes(cluster):
            if route.name in told:
                checks += await _there_and_back(route, address, told[route.name])
        return {"checks": [obstacle_row(one) for one in checks]}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def keep(self, context: StepContext) -> Mapping[str, Any]:
        """What did not hold, and what promoting at that moment would have lost."""
        results, given, ground = context.results, context.input, self._ground
        checks = [one for name in ("look", "prove", "turn-records") for one in results.get(name, {}).get("checks", ())]
        seen = results["look"]
        return await keep(
            ground,
            context,
            cluster_of(ground, context),
            Action.REHEARSE,
            began_at=datetime.fromisoformat(seen["began_at"]),
            primaries=(given["from"], given["to"]),
            checks=checks,
            **{name: seen[name] for name in ("lost_bytes", "lost_transactions", "lost_seconds", "loss")},
            write_seconds=results["prove"]["write_seconds"],
        )

    async def _switchover_checks(self, context: StepContext, found: DisasterSurvey) -> list[Obstacle]:
        """What a planned change of primary to there would need."""
        seen = await assess(self._ground.switchovers, found.cluster, to=context.input["to"], purpose=context.application_name)
        return [
            Obstacle(
                rule=one.rule,
                subject=one.subject,
                value=one.value,
                limit=one.limit,
                source=one.source,
                remedy=one.remedy or "",
                is_met=False,
                is_blocking=one.state is CheckState.FAIL,
            )
            for one in seen.checks
            if one.state is not CheckState.OK
        ]


async def _state_of(route: Route) -> dict[str, Any]:
    """Where it leads, or why nobody can tell: that is found out by a rehearsal, and must not keep it from the rest."""
    try:
        return (await route.current()).as_document()
    except DbreError as error:
        return {"problem": printable(error.message, limit=300)}


async def _there_and_back(route: Route, address: Address, told: Mapping[str, Any]) -> list[Obstacle]:
    """What was seen while it led to the other site; it is led back whatever that was, and after whoever was killed here."""
    if "problem" in told:
        return [_record_check(route, told["problem"], is_met=False)]
    before, checks = RouteState.from_document(told), list[Obstacle]()
    try:
        try:
            await route.point_to(address, before=before)
            checks += await _seen(route, address)
        finally:
            await asyncio.shield(turn_all_back([route], address, before={route.name: before}))
    except DbreError as error:
        checks.append(_record_check(route, printable(error.message, limit=300), is_met=False))
    return checks


async def _seen(route: Route, address: Address) -> list[Obstacle]:
    return [
        _record_check(route, f"{one.name}: {one.seen} (wanted: {one.wanted})", is_met=one.is_ok, is_blocking=not one.is_advice)
        for one in await route.verify(address)
    ]


def _record_check(route: Route, value: str, *, is_met: bool, is_blocking: bool = True) -> Obstacle:
    return Obstacle(
        rule="rehearsal_record",
        subject=route.name,
        value=value,
        limit="leads there and back",
        source="the name server",
        remedy="see its key, and whether it takes updates: dbre ha route check",
        is_met=is_met,
        is_blocking=is_blocking,
    )
