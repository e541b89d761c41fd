"""``upgrade.restart``: every server of a cluster is restarted, replicas first, while clients go on."""

from collections.abc import Iterator, Mapping
from typing import Any

from dbre.capabilities.upgrade.checks import checks_of
from dbre.capabilities.upgrade.documents import RestartInput
from dbre.capabilities.upgrade.plan_parts import (
    blast_radius,
    in_place_checks,
    is_switched,
    refuse_failed,
    switch_back_step,
    switch_step,
    warnings_of,
)
from dbre.capabilities.upgrade.rolling import LONG_SECONDS, RollingOperation
from dbre.capabilities.upgrade.survey import Survey, survey
from dbre.capabilities.upgrade.wholeness import NotWhole
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import step
from dbre.core.operation.plan import Change, Plan, Risk, Step

__all__ = ["RollingRestart"]


class RollingRestart(RollingOperation[RestartInput]):
    """Restart a cluster server by server; stopped by the first that is not whole afterwards."""

    kind, version = "upgrade.restart", 1
    document = RestartInput

    async def plan(self, context: PlanContext, asked: RestartInput) -> Plan:
        """Look at everything. Raises: PrecheckFailed naming what is in the way."""
        cluster = self._ground.fleet.cluster(asked.cluster)
        seen = await survey(self._ground, cluster, purpose=context.application_name)
        checks = [*checks_of(seen), *in_place_checks(seen, asked)]
        refuse_failed(seen, checks, what="the restart")
        return Plan(
            target=f"cluster/{cluster.name}",
            summary=f"restart the {len(seen.nodes)} servers of {cluster.name} one after the other",
            steps=tuple(_steps(seen, asked)),
            risk=Risk.SEVERE,
            changes=tuple(_changes(seen)),
            blast_radius=tuple(blast_radius(seen, asked)),
            warnings=warnings_of(checks),
            observed={"primary": seen.primaries[0], "replicas": seen.replicas},
        )

    @step(timeout_seconds=LONG_SECONDS, idempotent=True, attempts=1)
    async def restart(self, context: StepContext) -> Mapping[str, Any]:
        """Restart one server unless that has happened since this operation began, and wait until it is whole."""
        name = context.input["instance"]
        member = self.member(context, name)
        primary = await member.require_role(is_primary=context.input["as_primary"])
        how = "already restarted"
        if not await member.is_restarted_since(context.results["stand"][name]):
            await member.restart()
            how = "restarted"
        told = await member.wait_whole(primary)
        mark = context.results["stand"][name]
        if any(mark.values()) and not await member.is_restarted_since(mark):
            raise NotWhole(f"{name} answers, and is the same process as before: it was not restarted", hint="see its log")
        return {"instance": name, "how": how, **told}


def _steps(seen: Survey, asked: RestartInput) -> Iterator[Step]:
    old = seen.primaries[0]
    yield Step("stand", summary="remember which processes run")
    for name in seen.replicas:
        yield Step(
            f"restart:{name}",
            summary=f"restart {name}, and wait until it follows again and has everything",
            input={"instance": name, "as_primary": False},
        )
    if not is_switched(seen, asked):
        yield Step(
            f"restart:{old}", summary=f"restart {old} as primary: nobody writes meanwhile",
            input={"instance": old, "as_primary": True},
        )  # fmt: skip
        return
    yield switch_step(old, is_final=False)
    yield Step(
        f"restart:{old}",
        summary=f"restart {old} as replica, unless the change of primary has done so",
        input={"instance": old, "as_primary": False},
    )
    if asked.back:
        yield switch_back_step(old)


def _changes(seen: Survey) -> Iterator[Change]:
    for one in seen.nodes.values():
        for setting in one.pending:
            yield Change(subject=f"{one.name}: {setting.name}", before=setting.value, after="what waits for the restart")
