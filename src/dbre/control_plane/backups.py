"""Backups of the control plane: the log of every cluster with a policy is kept, exposure measured, the canary written."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from dbre.assembly import backup_ground
from dbre.capabilities.backup.drilling.canary_writer import CanaryWriter
from dbre.capabilities.backup.exposure.metrics import ExposureMetrics
from dbre.capabilities.backup.exposure.watch import ExposureWatch
from dbre.capabilities.backup.log.keeper import LogKeeper
from dbre.capabilities.backup.metrics import BackupMetrics
from dbre.capabilities.backup.own_state.backups import StateBackups
from dbre.capabilities.backup.restoring.leftovers import collecting
from dbre.capabilities.slo import Definition
from dbre.capabilities.slo.polling.recovery_point import RecoveryPointCounter
from dbre.capabilities.slo.polling.run import SourceGround
from dbre.core.config import Config
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.operation.desk import OperationDesk, Submission
from dbre.core.store import Store
from dbre.core.store.document import STATE
from dbre.core.telemetry import Metrics
from dbre.web.services import BackupServices

__all__ = ["PlaneBackups"]

Part = Callable[[], Awaitable[None]]
_SELF = Principal(name="backup", kind=PrincipalKind.SYSTEM, grants=(Grant(role=Role.OPERATOR),))
"""Who asks for the copies that follow gaps and promotions: a policy stands in the configuration, which administrators write."""


class PlaneBackups:
    """What the control plane knows of backups, and does for them all the time."""

    def __init__(
        self,
        config: Config,
        definitions: Sequence[Definition],
        ground: SourceGround,
        *,
        store: Store,
        metrics: Metrics,
        desk: Callable[[Principal], OperationDesk],
    ) -> None:
        self._ground = backup_ground(config, ground.fleet, ground.engines, ground.clock, store)
        self._desk = desk
        counter = RecoveryPointCounter(definitions, ground.fleet, sink=ground.sink)
        self._keeper = LogKeeper(self._ground, request=self._request)
        self._watch = ExposureWatch(self._ground, record=counter.record, flushed=self._keeper.flushed)
        self._metrics = BackupMetrics(metrics, self._ground, store)
        self._canary = CanaryWriter(self._ground)
        self._state = StateBackups(self._ground, password=config.get(STATE).password)
        ExposureMetrics(metrics, self._watch)

    def services(self) -> BackupServices:
        """What pages and the API show."""
        return BackupServices(ground=self._ground, exposure_seconds=self._exposure_seconds)

    def parts(self) -> Mapping[str, Part]:
        """What is to run until the control plane stops."""
        return {
            "log": self._keeper.run,
            "exposure": self._watch.run,
            "canary": self._canary.run,
            "state-copies": self._state.run,
            "leftovers": self._collect,
            "backup-metrics": self._metrics.run,
        }

    async def _collect(self) -> None:
        """Remove what killed restores and drills left on this machine."""
        await collecting(self._ground)

    def _exposure_seconds(self, cluster: str) -> float | None:
        found = self._watch.latest().get(cluster)
        return found.seconds if found is not None else None

    async def _request(self, kind: str, given: Mapping[str, Any], key: str) -> str:
        wanted = Submission(reason="the log needs a full copy to go on from", dedup_key=key)
        return str((await self._desk(_SELF).request(kind, given, wanted)).id)
