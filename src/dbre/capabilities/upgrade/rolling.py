"""What all rolling changes share: one server after the other, and nothing more after the first that is not whole."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from dbre.capabilities.upgrade.comparing import differences, require_nothing_lost
from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.capabilities.upgrade.restarting import Member, mark_of
from dbre.capabilities.upgrade.snapshot import Snapshot, take
from dbre.capabilities.upgrade.wholeness import probe
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, EndpointPurpose
from dbre.core.operation.context import StepContext
from dbre.core.operation.definition import Operation, OutcomeUnknown, Verification, step
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState
from dbre.core.text import printable

__all__ = ["RollingOperation", "SwitchFailed"]

LONG_SECONDS = 7200.0  # the limits of the configuration end each part before
Input = TypeVar("Input", bound=BaseModel)


class SwitchFailed(DbreError):
    """The primary was not changed, so the server that is primary is not restarted."""

    code = "upgrade.switch_failed"


class RollingOperation(Operation[Input]):
    """Base: the steps ``stand``, ``switch`` and ``switch-back``, and what is looked at in the end."""

    def __init__(self, ground: UpgradeGround) -> None:
        self._ground = ground

    @step(timeout_seconds=120.0, idempotent=True)
    async def stand(self, context: StepContext) -> Mapping[str, Any]:
        """Remember which processes run, so that each is restarted once, however often this operation is interrupted."""
        cluster = self.cluster(context)
        return {
            one.name: await mark_of(self._ground, cluster, one, purpose=context.application_name) for one in cluster.instances
        }

    @step(timeout_seconds=600.0, idempotent=True)
    async def look(self, context: StepContext) -> Mapping[str, Any]:
        """Remember what each server has, and how fast it answers, so that what is lost on the way is seen."""
        cluster = self.cluster(context)
        return {one.name: (await self._look(context, one.name)).document() for one in cluster.instances}

    @step(timeout_seconds=LONG_SECONDS, idempotent=True, attempts=1)
    async def switch(self, context: StepContext) -> Mapping[str, Any]:
        """Another instance becomes primary."""
        return await self._switch(context, None)

    @step(timeout_seconds=LONG_SECONDS, idempotent=True, attempts=1)
    async def switch_back(self, context: StepContext) -> Mapping[str, Any]:
        """The primary of before becomes it again."""
        return await self._switch(context, context.input["to"])

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Exactly one takes writes, a row is written and read back there, and each replica is whole."""
        cluster, found = self.cluster(context), []
        primary = await self.member(context, cluster.instances[0].name).primary()
        seconds = await probe(self._ground, cluster, primary, EndpointPurpose.WRITE)
        detail = "written and read back" if seconds is not None else "primary; dbre has no heartbeat table to write to"
        found.append(Verification(subject=f"{primary.name}: takes writes", holds=True, detail=detail))
        for one in cluster.instances:
            if one.name == primary.name:
                continue
            try:
                told = await self.member(context, one.name).wait_whole(primary)
                detail = f"receives, and has applied {told['applied']}"
                found.append(Verification(subject=f"{one.name}: follows", holds=True, detail=printable(detail, limit=300)))
            except DbreError as error:
                shown = printable(error.message, limit=300)
                found.append(Verification(subject=f"{one.name}: follows", holds=False, detail=shown))
        return found

    async def compare(self, context: StepContext, name: str) -> Mapping[str, Any]:
        """One server against what it was; what differs. Raises: NotWhole where it lost something."""
        before = Snapshot.from_document(context.results["look"][name])
        after = await self._look(context, name)
        require_nothing_lost(name, before, after)
        return differences(before, after)

    async def _look(self, context: StepContext, name: str) -> Snapshot:
        cluster, purpose = self.cluster(context), context.application_name
        is_primary = (await self.member(context, name).primary()).name == name
        instance = self._ground.fleet.instance(name)
        return await take(self._ground, cluster, instance, is_primary=is_primary, purpose=purpose)

    def cluster(self, context: StepContext) -> Cluster:
        """Whose servers are restarted."""
        return self._ground.fleet.cluster(context.plan.target.rpartition("/")[2])

    def member(self, context: StepContext, name: str) -> Member:
        """One of them."""
        instance = self._ground.fleet.instance(name)
        return Member(self._ground, self.cluster(context), instance, purpose=context.application_name)

    async def _switch(self, context: StepContext, to: str | None) -> Mapping[str, Any]:
        cluster = self.cluster(context)
        record = await context.run_child(self._ground.switch_kind, {"cluster": cluster.name, "to": to})
        if record.state is OperationState.NEEDS_OPERATOR:
            raise OutcomeUnknown(f"operation {record.id}, which changes the primary of {cluster.name}, needs an operator")
        if record.state is not OperationState.SUCCEEDED:
            raise SwitchFailed(
                f"the primary of {cluster.name} was not changed: {_why(record)}",
                hint=f"dbre op show {record.id}; nothing more is restarted",
                context={"operation": str(record.id)},
            )
        return {"operation": str(record.id), "primary": record.planned.plan.observed.get("candidate")}


def _why(record: OperationRecord) -> str:
    told = (record.error or {}).get("message") or record.abort_reason or f"its operation is {record.state.value}"
    return printable(str(told), limit=500)
