"""``ha.failback``: the primary of before follows again, catches up, and becomes primary again."""

from collections.abc import Mapping, Sequence
from typing import Any

from dbre.capabilities.ha.failback.document import FailbackInput
from dbre.capabilities.ha.failback.failback_plan import plan_of
from dbre.capabilities.ha.failback.ground import FailbackGround
from dbre.capabilities.ha.failback.surveying import survey
from dbre.capabilities.ha.failback.waiting import wait_until_fit
from dbre.capabilities.ha.rejoin.outcome import outcome_of
from dbre.capabilities.ha.rejoin.verifying import verify_rejoin
from dbre.capabilities.ha.switchover.timing import timing_of
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, OutcomeUnknown, Verification, step
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import Plan
from dbre.core.operation.states import OperationState
from dbre.core.text import printable

__all__ = ["FailBack", "PartFailed"]

_LONG_SECONDS = 9 * 86_400.0  # a copy may take days; its parts have limits of their own
_SWITCH_SECONDS = 7200.0


class PartFailed(DbreError):
    """A part of a failback did not succeed; the primary is the one that it was."""

    code = "ha.failback_failed"


class FailBack(Operation[FailbackInput]):
    """Two operations and a wait between. Nothing of it is taken back: each part leaves a whole cluster, or says what is not."""

    kind, version = "ha.failback", 1
    document = FailbackInput

    def __init__(self, ground: FailbackGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: FailbackInput) -> Plan:
        """Look at the cluster and at the files. Raises: PrecheckFailed, NoControl, Unsupported."""
        servers = self._ground.rejoins.servers
        cluster = servers.fleet.cluster(asked.cluster)
        seen = await survey(self._ground, cluster, asked, purpose=context.application_name)
        return plan_of(seen, asked, servers.limits(cluster.name))

    @step(timeout_seconds=_LONG_SECONDS, idempotent=True, attempts=1)
    async def rejoin(self, context: StepContext) -> Mapping[str, Any]:
        """Bring it back as a replica."""
        record = _succeeded(await context.run_child("ha.rejoin", context.input["asked"]), context.input["to"])
        return {"operation": str(record.id), **outcome_of(record)}

    @step(timeout_seconds=_LONG_SECONDS, idempotent=True, attempts=1)
    async def wait(self, context: StepContext) -> Mapping[str, Any]:
        """Until it lacks little, and every check allows the change."""
        seconds = await wait_until_fit(
            self._ground.rejoins,
            context,
            self._cluster(context),
            to=context.input["to"],
            patience_seconds=context.input["patience_seconds"],
        )
        return {"seconds": seconds}

    @step(timeout_seconds=_SWITCH_SECONDS, idempotent=True, attempts=1)
    async def switch(self, context: StepContext) -> Mapping[str, Any]:
        """Change the primary as planned; all checks are made again."""
        asked = {"cluster": self._cluster(context).name, "to": context.input["to"]}
        record = _succeeded(await context.run_child("ha.switchover", asked), context.input["to"])
        timing = timing_of(record)
        return {"operation": str(record.id), "write_gap_seconds": timing.seconds if timing is not None else None}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Ask the servers: the roles are exchanged."""
        observed = context.plan.observed
        roles = {"primary": observed["candidate"], "instance": observed["primary"]}
        return await verify_rejoin(self._ground.rejoins, self._cluster(context), roles)

    def _cluster(self, context: StepContext) -> Cluster:
        return self._ground.rejoins.servers.fleet.cluster(context.plan.target.rpartition("/")[2])


def _succeeded(record: OperationRecord, to: str) -> OperationRecord:
    """Raises: OutcomeUnknown, PartFailed."""
    kind = record.planned.kind
    if record.state is OperationState.NEEDS_OPERATOR:
        raise OutcomeUnknown(f"operation {record.id} ({kind}), a part of the failback to {to}, needs an operator")
    if record.state is not OperationState.SUCCEEDED:
        told = (record.error or {}).get("message") or record.abort_reason or f"it is {record.state.value}"
        raise PartFailed(
            f"{to} did not become primary again: {kind} did not succeed: {printable(str(told), limit=500)}",
            hint=f"dbre op show {record.id}; then the same command again goes on from there",
            context={"operation": str(record.id)},
        )
    return record
