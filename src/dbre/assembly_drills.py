"""How drills are put together: their faults are those of experiments, their clients those of probes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from dbre.assembly_clients import client_ground
from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.experiment_plan import check_outage
from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.chaos.injection.fitting import check_engine
from dbre.capabilities.chaos.injection.healing import heal
from dbre.capabilities.chaos.injection.model import NotReverted
from dbre.capabilities.chaos.injection.order import Order
from dbre.capabilities.chaos.injection.record import new_fault_id
from dbre.capabilities.chaos.injection.supervising import Injection
from dbre.capabilities.chaos.preflight.checks import checks_of, require
from dbre.capabilities.chaos.preflight.gathering import gather, roles_of
from dbre.capabilities.ha.config_document import HA
from dbre.capabilities.ha.drills.faults import DrillFault, LeftDead
from dbre.capabilities.ha.drills.ground import DrillGround
from dbre.core.config import Config
from dbre.core.fleet import Cluster
from dbre.core.secrets import prepare_secrets

__all__ = ["DrillFaults", "drill_ground"]

_REVERT_SECONDS = 300.0
_LEFT_SECONDS = 5.0  # its injector is told to end, and ends when the server runs again
_HELD_SECONDS = 40  # an injector whose runner is gone takes its fault back within its lease


def drill_ground(config: Config, chaos: ChaosGround) -> DrillGround:
    """What drills stand on."""
    return DrillGround(
        fleet=chaos.fleet,
        engines=chaos.engines,
        clock=chaos.clock,
        settings=config.get(HA),
        clients=client_ground(chaos.fleet, chaos.engines),
        faults=DrillFaults(chaos),
        directory=chaos.directory,
        store=chaos.store,
    )


class DrillFaults:
    """Implements ``Faults`` with the injectors of experiments, under the same rules and the same switch."""

    def __init__(self, ground: ChaosGround) -> None:
        self._ground = ground

    async def check(self, cluster: Cluster, faults: Sequence[DrillFault], *, operation: UUID | None) -> None:
        """The preflight of an experiment with these faults. Raises: PrecheckFailed, UsageError."""
        if not faults:
            return
        document = {
            "cluster": cluster.name,
            "may_take_last": len(faults) > 1,  # a whole site: that it leaves no majority is the question
            "faults": [{"fault": one.fault, "instance": one.instance, "parameters": dict(one.parameters)} for one in faults],
        }
        experiment = Experiment.model_validate(document)
        check_engine((one.fault for one in experiment.faults), cluster, self._ground.engines)
        answers = await roles_of(self._ground, cluster, "dbre:drill")
        check_outage(experiment, answers)
        own = () if operation is None else (operation,)
        facts = await gather(self._ground, experiment, answers=answers, own=own, is_plan=operation is None)
        require(checks_of(experiment, cluster, self._ground.rule_of(cluster), facts))

    @asynccontextmanager
    async def hold(self, cluster: Cluster, fault: DrillFault, *, operation: UUID, seconds: float) -> "AsyncIterator[Injection]":
        """Inject it; taken back, and seen to be, when the block ends. Raises: InjectionFailed, NotReverted."""
        await prepare_secrets([cluster.password])
        order = Order.on(
            cluster,
            self._ground.fleet.instance(fault.instance),
            id=new_fault_id(),
            operation=str(operation),
            fault=fault.fault,
            parameters=dict(fault.parameters),
            seconds=seconds,
            directory=str(self._ground.directory),
        )
        injection = await Injection.start(self._ground.program, order)
        limit_seconds = _REVERT_SECONDS
        try:
            await injection.wait_until_on()
            yield injection
        except LeftDead:
            limit_seconds = _LEFT_SECONDS
            raise
        finally:
            try:
                await injection.end(limit_seconds=limit_seconds)
            except NotReverted:
                if limit_seconds == _REVERT_SECONDS:
                    raise

    async def heal(self, operation: UUID) -> int:
        """What is left of an operation. Raises: NotReverted where something stays."""
        ground, count = self._ground, 0
        for _ in range(_HELD_SECONDS):
            found = await heal(ground.directory, ground.fleet, ground.engines, ground.clock)
            mine = [one for one in found if one.record.operation == str(operation)]
            count += sum(one.outcome == "reverted" for one in mine)
            left = [one for one in mine if one.outcome != "reverted"]
            if not any(one.outcome == "held" for one in left):
                break
            await ground.clock.sleep(1.0)
        if left:
            raise NotReverted(f"{left[0].record.fault} on {left[0].record.instance}: {left[0].detail}", hint="dbre chaos heal")
        return count
