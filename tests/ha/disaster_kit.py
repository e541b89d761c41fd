"""A cluster of real servers at two sites, with every operation that a plan for the loss of a site needs."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from ha_live import Engines
from kill_kit import Failpoints, die_in

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.disaster.building import rehearsal_routes_of
from dbre.capabilities.ha.disaster.ground import DisasterGround
from dbre.capabilities.ha.disaster.operations import operations
from dbre.capabilities.ha.failback.ground import failback_ground
from dbre.capabilities.ha.failback.operation import FailBack
from dbre.capabilities.ha.failover.ground import FailoverGround
from dbre.capabilities.ha.rejoin.ground import RejoinGround
from dbre.capabilities.ha.rejoin.operation import Rejoin
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.capabilities.ha.switchover.operations.switchover import Switchover
from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.events import EventLog
from dbre.core.fleet import Fleet
from dbre.core.gates.asking import Gates
from dbre.core.operation.context import PlanContext
from dbre.core.operation.definition import Operation
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import Plan, PlannedOperation
from dbre.core.operation.reading import load
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.states import OperationState
from dbre.core.operation.walk import WalkLimits
from dbre.core.operation.worker_identity import this_worker
from dbre.core.programs.account import Account, choose_account
from dbre.core.store import Store
from dbre.lab.site import Site
from dbre.ports.backup.model import Place

CLOCK = SystemClock()
SITES = [{"name": "east", "instances": ["n1"]}, {"name": "west", "instances": ["n2"]}]


@dataclass(kw_only=True)
class Sites:
    """``n1`` is at home in the east, ``n2`` in the west."""

    fleet: Fleet
    url: str
    site: Site
    directory: Path
    plan: dict[str, Any] = field(default_factory=dict)
    failover: dict[str, Any] = field(default_factory=dict)
    account: Account = field(default_factory=lambda: choose_account({}))  # whose commands fence

    @property
    def settings(self) -> HaDocument:
        plan = {
            "sites": SITES,
            "objectives": {"rpo": "10s", "rto": "2m"},
            "checks": {"count": 3, "latency": "30s"},
            **self.plan,
        }
        return HaDocument.model_validate({"clusters": [{"cluster": "shop", "failover": self.failover, "disaster": plan}]})

    def ground(self, store: Store | None) -> DisasterGround:
        async def nothing(_: str) -> None:
            return None

        return DisasterGround(
            failovers=FailoverGround(
                fleet=self.fleet,
                engines=Engines(),
                clock=CLOCK,
                settings=self.settings,
                store=store,
                routes=lambda _: (),
                account=lambda: self.account,
            ),
            switchovers=SwitchoverGround(
                fleet=self.fleet,
                engines=Engines(),
                clock=CLOCK,
                settings=self.settings,
                routes=lambda _: (),
                hand_over_of=lambda _: None,
                last_timing=nothing,
                other_work=nothing,
                rehearsal=nothing,
            ),
            rehearsal_routes=lambda cluster: rehearsal_routes_of(self.settings, cluster),
            has_identities=False,
        )

    async def planned(self, store: Store, kind: str, **asked: Any) -> PlannedOperation:
        operation = _Registry(self, store).get(kind)
        given = operation.document.model_validate({"cluster": "shop", **asked})
        plan: Plan = await operation.plan(PlanContext(clock=CLOCK, requested_by="alice"), given)
        made = PlannedOperation(kind=kind, definition_version=operation.version, input=given.model_dump(mode="json"), plan=plan)
        assert operation.missing(plan) == ()
        return PlannedOperation.from_document(made.document())

    async def submit(self, store: Store, kind: str, **asked: Any) -> UUID:
        """Once it is allowed: on a busy machine a server may be late to answer a sweep."""
        end = time.monotonic() + 90
        while True:
            try:
                planned = await self.planned(store, kind, **asked)
                break
            except PrecheckFailed as error:
                if "does not answer" not in error.message or time.monotonic() > end:
                    raise
            await asyncio.sleep(0.2)
        journal = Journal(AuditLog(CLOCK), EventLog(CLOCK), CLOCK)
        new = NewOperation(planned=planned, requested_by="alice")
        return await store.grouped(lambda connection: insert_operation(connection, journal, new, actor="a", clock=CLOCK))

    async def run(self, store: Store, operation_id: UUID, *, hooks: Any = None) -> OperationRecord:
        runner = OperationRunner(
            store,
            _Registry(self, store),
            Journal(AuditLog(CLOCK), EventLog(CLOCK), CLOCK),
            Gates((), CLOCK),
            CLOCK,
            worker=this_worker(),
            fleet=self.fleet,
            settings=OperationsDocument.model_validate({"lease": "5s", "renewal": "1s"}),
            limits=WalkLimits(forward_rounds=2, undo_rounds=2),
            **({"hooks": hooks} if hooks is not None else {}),
        )
        end = time.monotonic() + 120
        while (record := await runner.run(operation_id)) is None:  # who was killed holds it a moment longer
            assert time.monotonic() < end
            async with store.read() as connection:
                record = await load(connection, operation_id)
            if record.ended_at is not None:  # it was killed after its last word
                return record
            await asyncio.sleep(0.1)
        return record

    async def do(self, store: Store, kind: str, **asked: Any) -> OperationRecord:
        end = time.monotonic() + 90
        while True:
            record = await self.run(store, await self.submit(store, kind, **asked))
            if not was_late(record) or time.monotonic() > end:
                return record

    def run_and_die(self, operation_id: UUID, number: int) -> bool:
        """Run it in a process that is killed at a commit; whether it came to that."""
        return die_in(self.url, lambda store: self.run(store, operation_id, hooks=Failpoints(number)))


class _Registry:
    """Every operation that is needed, over one store."""

    def __init__(self, sites: Sites, store: Store) -> None:
        ground = sites.ground(store)
        place = Place(account=sites.site.account, cache=sites.site.cache)
        rejoins = RejoinGround(servers=ground.switchovers, directory=sites.directory / "lost", find_place=lambda: place)
        back = FailBack(failback_ground(rejoins, store))
        found: list[Operation[Any]] = [*operations(ground), Switchover(ground.switchovers), Rejoin(rejoins), back]
        self._operations = {one.kind: one for one in found}

    def kinds(self) -> list[str]:
        return list(self._operations)

    def get(self, kind: str) -> Operation[Any]:
        return self._operations[kind]


def was_late(record: OperationRecord) -> bool:
    """Whether it touched nothing, because a server was late to answer its second look."""
    error = record.error or {}
    return record.state is OperationState.FAILED and "does not answer" in str(error.get("message"))


def results(record: OperationRecord) -> dict[str, Mapping[str, Any]]:
    """What each step gave."""
    return {one.name: one.result or {} for one in record.steps if one.phase == "do"}
