"""The control plane's part in operations: it plans and steers them for its users, runs what is due, and signs the audit log."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from dbre.assembly import OperationParts
from dbre.core.audit.checkpointer import Checkpointer
from dbre.core.gates.document import GatesDocument, change_windows, freeze_windows
from dbre.core.identity.model import Grant, Principal, Role
from dbre.core.operation.celery_extra import needs_celery
from dbre.core.operation.desk import OperationDesk
from dbre.core.operation.dispatch import Carrier, Dispatcher
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.local_dispatch import LocalDispatcher
from dbre.core.operation.metrics import BrokerSender, OperationMetrics
from dbre.core.operation.reconsidering import Reconsideration
from dbre.core.operation.retention import Retention
from dbre.core.operation.schedule.model import Schedule
from dbre.core.operation.schedule.scheduler import Scheduler, submit_through, system_principal
from dbre.core.operation.store_desk import StoreDesk
from dbre.core.operation.sweeper import Sweeper
from dbre.core.operation.workers import WorkerRegistration
from dbre.core.secrets import Secret
from dbre.core.telemetry import Metrics
from dbre.web.services import AuditServices, OperationServices

__all__ = ["PlaneOperations"]

Part = Callable[[], Awaitable[None]]


class PlaneOperations:
    """Desks for users, and what runs beside them.

    With ``dispatch: local`` this process runs what is due itself, as a worker of no zone; with ``dispatch: celery`` it only
    tells the broker, and workers run it.
    """

    def __init__(
        self,
        parts: OperationParts,
        settings: OperationsDocument,
        *,
        schedules: tuple[Schedule, ...],
        checkpointer: Checkpointer,
        metrics: Metrics,
        broker_password: Secret | None = None,
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._schedules = schedules
        self._checkpointer = checkpointer
        self._retention = Retention(parts.store, parts.clock, keep_detail=settings.keep_detail)
        self._local: LocalDispatcher | None = None
        self._broker: BrokerSender | None = None
        carrier = self._carrier(broker_password)
        self._metrics = OperationMetrics(metrics, broker=self._broker)
        self._sweeper = Sweeper(parts.store, carrier, parts.clock, parts.leases, again_after=settings.lease)
        if self._local is not None:
            self._local.when_room = self._sweeper.wake
        self._desk_parts = parts.desk_parts(self._sweeper)
        self._reconsideration = Reconsideration(self._desk_parts)
        self._scheduler = Scheduler(parts.store, schedules, submit_through(self._desk_of_schedule), parts.clock)

    def _carrier(self, broker_password: Secret | None) -> Carrier:
        broker = self._settings.carried_by
        if broker is None:
            self._local = LocalDispatcher(self._parts.runner, concurrency=self._settings.concurrency)
            return self._local
        with needs_celery():  # here: Celery is an extra, and costs a third of a second
            from dbre.core.operation.celery_dispatch.publisher import CeleryDispatcher

        dispatcher = CeleryDispatcher(broker, broker_password, self._parts.clock)
        self._broker = dispatcher
        return dispatcher

    @property
    def dispatcher(self) -> Dispatcher:
        """Whom desks tell of a new operation."""
        return self._sweeper

    def desk(self, principal: Principal) -> OperationDesk:
        """Operations for one user."""
        return StoreDesk(self._desk_parts, principal)

    def services(self, windows: GatesDocument) -> OperationServices:
        """What pages show of gates, schedules and workers."""
        return OperationServices(
            kinds=self._parts.registry.kinds(),
            gates=self._parts.gates,
            freeze_windows=freeze_windows(windows),
            change_windows=change_windows(windows),
            schedules=self._schedules,
            leases=self._parts.leases,
        )

    def audit_services(self) -> AuditServices:
        """What pages show of the audit log."""
        return AuditServices(recorder=self._parts.audit, checkpointer=self._checkpointer)

    def parts(self) -> Mapping[str, Part]:
        """What is to run until the control plane stops."""
        running: dict[str, Part] = {
            "sweeper": self._sweeper.run,
            "schedules": self._scheduler.run,
            "checkpoints": self._checkpointer.run,
            "retention": self._retention.run,
            "approvals": self._reconsideration.run,
            "operation-metrics": lambda: self._metrics.run(self._parts.store, self._parts.clock),
        }
        if self._local is not None:
            registration = WorkerRegistration(
                self._parts.store, self._parts.runner.worker, self._parts.clock, self._parts.leases
            )
            running |= {"worker": registration.run, "operations": self._run_operations}
        return running

    async def _run_operations(self) -> None:
        """Nothing, until cancelled: then begin nothing more, and let what runs go on for the grace time."""
        assert self._local is not None  # noqa: S101 - only then it is a part
        try:
            await asyncio.Event().wait()
        finally:
            await self._local.stop(grace_seconds=self._settings.grace.total_seconds())

    def _desk_of_schedule(self, schedule: Schedule) -> OperationDesk:
        # A schedule stands in the configuration, which administrators write: it may operate everywhere, and approve nothing.
        return self.desk(replace(system_principal(schedule), grants=(Grant(role=Role.OPERATOR),)))
