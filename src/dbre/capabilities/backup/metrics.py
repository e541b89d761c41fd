"""Metrics of sets, gaps and proofs; what is unknown is absent, and never 0."""

from collections.abc import Iterator

import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.overview import Overview, look
from dbre.core.errors import DbreError
from dbre.core.store import Store
from dbre.core.telemetry import Metrics

__all__ = ["BackupMetrics"]

_EVERY_SECONDS = 60.0
_log = structlog.get_logger(__name__)
_FAMILIES = {
    "dbre_backup_newest_set_timestamp_seconds": "When the newest set that can be restored from was ended.",
    "dbre_backup_recoverable_until_timestamp_seconds": "The last moment that can be recovered; absent while unknown.",
    "dbre_backup_proof_timestamp_seconds": "When the newest drill ended that passed; absent where none did.",
    "dbre_backup_proof_valid": "1 where the newest proof is young enough for the policy, 0 where not.",
    "dbre_backup_open_gaps": "Parts of the log that are missing for good and not closed yet.",
    "dbre_backup_drill_recovery_time_seconds": "How long the restore of the newest proof took; absent where not measured.",
    "dbre_backup_drill_recovery_point_seconds": "How much the newest proof would have lost; absent while unknown.",
}


class BackupMetrics(Collector):
    """Reads what the state store knows once a minute; scrapes are answered from memory."""

    def __init__(self, metrics: Metrics, ground: BackupGround, store: Store) -> None:
        self._ground = ground
        self._store = store
        self._seen: list[Overview] = []
        metrics.registry.register(self)

    async def run(self) -> None:
        """Read until cancelled."""
        watched = [(one, policy) for one in self._ground.fleet.clusters if (policy := self._ground.policy_of(one.name))]
        while True:
            try:
                self._seen = [await look(self._store, cluster, policy) for cluster, policy in watched]
            except DbreError as error:  # nobody knows now: the metrics are absent until the store answers again
                self._seen = []
                _log.warning("backup_metrics_unknown", reason=error.message)
            await self._ground.clock.sleep(_EVERY_SECONDS)

    def collect(self) -> Iterator[Metric]:
        """The families, for the registry."""
        rows = [(one.cluster.name, self._values(one)) for one in self._seen]
        for name, text in _FAMILIES.items():
            family = GaugeMetricFamily(name, text, labels=["cluster"])
            for cluster, values in rows:
                if (value := values.get(name)) is not None:
                    family.add_metric([cluster], value)
            yield family

    def _values(self, one: Overview) -> dict[str, float | None]:
        newest, reach, proof = one.newest, one.reach, one.last_proof
        found = (
            newest.stopped_at.timestamp() if newest is not None and newest.stopped_at is not None else None,
            reach.end_at.timestamp() if reach is not None and reach.end_at is not None else None,
            proof.ended_at.timestamp() if proof is not None else None,
            float(one.is_proven(self._ground.clock.now())),
            float(sum(gap.ended_at is None for gap in one.gaps)),
            proof.recovery_time_seconds if proof is not None else None,
            proof.recovery_point_seconds if proof is not None else None,
        )
        return dict(zip(_FAMILIES, found, strict=True))
