"""``backup.release_log``: let servers keep no log any more for a receiver that no policy wants."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.leftover import Leftover, find_leftovers, source_of, wants_receiver
from dbre.capabilities.backup.taking.planning import lock_target
from dbre.core.errors import Conflict, Refused, UsageError
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, Verification, step
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.core.secrets import prepare_secrets
from dbre.core.text import printable
from dbre.ports.backup.log_source import BacklogState, LogSource

__all__ = ["ReleaseLog", "ReleaseLogInput"]


class ReleaseLogInput(BaseModel):
    """Of which cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Annotated[str, Field(min_length=1, max_length=200)]


class ReleaseLog(Operation[ReleaseLogInput]):
    """Nothing can bring back what a server removes afterwards, so it is refused while a policy or a receiver wants it."""

    kind, version = "backup.release_log", 1
    document = ReleaseLogInput

    def __init__(self, ground: BackupGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: ReleaseLogInput) -> Plan:  # noqa: ARG002 - the signature of all plans
        """Ask every server. Raises: Refused where the log is wanted or received; UsageError where nothing is kept."""
        cluster = self._ground.fleet.cluster(asked.cluster)
        self._require_unwanted(cluster.name)
        found, unasked = await find_leftovers(self._ground, cluster)
        for one in found:
            if one.backlog.is_active:
                raise Refused(
                    f"the log of {one.instance} is received as {one.name} by {printable(one.backlog.active_by or 'somebody')}",
                    hint="stop that control plane first: it keeps the log of this cluster by a policy of its own",
                )
        if not found:
            unknown = "; ".join(f"{one.instance}: {one.error.message}" for one in unasked)
            raise UsageError(
                f"no server of {cluster.name} keeps log for a receiver"
                + (f", as far as they answer ({unknown})" if unknown else ""),
                hint="dbre backup check tells which servers do",
            )
        names = ", ".join(one.instance for one in found)
        return Plan(
            target=lock_target(cluster.name),
            summary=f"let {names} of {cluster.name} keep no log for {found[0].name} any more",
            steps=tuple(_step(cluster.name, one) for one in found),
            risk=Risk.MODERATE,
            changes=tuple(
                Change(subject=f"{one.instance}: slot {one.name}", before=one.backlog.state.value, after=None) for one in found
            ),
            warnings=tuple(f"{one.instance} was not asked: {one.error.message}" for one in unasked),
            observed={"slots": {one.instance: one.name for one in found}},
            tags=("remedy",),  # a full disk is what burns the budget: the alert must not hold what ends it
        )

    @step(timeout_seconds=120.0, idempotent=True)
    async def release(self, context: StepContext) -> Mapping[str, Any]:
        """One server. Raises: Refused where a policy wants its log again, Conflict where somebody receives it."""
        given = context.input
        self._require_unwanted(given["cluster"])
        source = await self._source(given)
        backlog = await source.backlog(given["name"])
        if backlog.is_active:
            raise Conflict(
                f"the log of {given['instance']} is received as {given['name']} now",
                hint="stop that control plane, and try again",
            )
        await source.release(given["name"])
        return {"instance": given["instance"], "name": given["name"], "kept_bytes": backlog.kept_bytes}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Ask again."""
        found = []
        for one in context.plan.steps:
            backlog = await (await self._source(one.input)).backlog(one.input["name"])
            found.append(
                Verification(
                    subject=f"{one.input['instance']}: slot {one.input['name']}",
                    holds=backlog.state is BacklogState.ABSENT,
                    detail=backlog.state.value,
                )
            )
        return found

    def _require_unwanted(self, cluster: str) -> None:
        if wants_receiver(self._ground, cluster):
            raise Refused(
                f"the policy of {cluster} has its log received: what servers keep for that is needed",
                hint="set log: {mode: none} or {mode: archive} in the policy first, and restart dbre server",
            )

    async def _source(self, given: Mapping[str, Any]) -> LogSource:
        cluster = self._ground.fleet.cluster(given["cluster"])
        await prepare_secrets([cluster.password])
        source = source_of(self._ground, cluster, given["instance"])
        if source is None:
            raise UsageError(f"{cluster.engine} keeps nothing for receivers of its log", hint="nothing is to be done")
        return source


def _step(cluster: str, one: Leftover) -> Step:
    return Step(
        f"release:{one.instance}",
        summary=f"drop slot {one.name} of {one.instance}",
        input={"cluster": cluster, "instance": one.instance, "name": one.name},
        irreversible=True,
    )
