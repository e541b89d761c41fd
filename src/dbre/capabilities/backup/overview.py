"""What is to be known of one cluster's backups at a glance: where one can go back to, what was proved when, what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbre.capabilities.backup.catalog.clock import list_samples
from dbre.capabilities.backup.catalog.drills import list_drills
from dbre.capabilities.backup.catalog.loading import read_catalog
from dbre.capabilities.backup.documents import PolicyDocument
from dbre.capabilities.backup.log.intervals import recovery_intervals
from dbre.capabilities.backup.model import BackupSet, Drill, DrillVerdict, RecoveryGap, RecoveryInterval, SetState
from dbre.core.fleet import Cluster
from dbre.core.store import Store

__all__ = ["Overview", "look"]

_DRILLS = 100
_SAMPLES = 20_000  # of the clock; older moments are known from the sets alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The backups of one cluster. ``policy`` is None where nobody asked for any."""

    cluster: Cluster
    policy: PolicyDocument | None
    sets: Sequence[BackupSet]  # that are not deleted, the newest first
    intervals: Sequence[RecoveryInterval]
    gaps: Sequence[RecoveryGap]
    drills: Sequence[Drill]  # the newest first

    @property
    def newest(self) -> BackupSet | None:
        """The newest set that can be restored from."""
        return next((one for one in self.sets if one.state is SetState.SEALED), None)

    @property
    def last_drill(self) -> Drill | None:
        """The drill that ended last."""
        return self.drills[0] if self.drills else None

    @property
    def last_proof(self) -> Drill | None:
        """The newest drill that passed."""
        return next((one for one in self.drills if one.verdict is DrillVerdict.PASS), None)

    @property
    def reach(self) -> RecoveryInterval | None:
        """The interval that ends last."""
        known = [(one.end_at, one.end.value, one) for one in self.intervals if one.end_at is not None]
        return max(known, key=lambda found: found[:2])[2] if known else None

    def is_proven(self, now: datetime) -> bool:
        """Whether the newest proof is young enough for the policy."""
        longest = self.policy.drill.proof_age if self.policy is not None else timedelta(days=8)
        proof = self.last_proof
        return proof is not None and now - proof.ended_at <= longest


async def look(store: Store, cluster: Cluster, policy: PolicyDocument | None) -> Overview:
    """Read what the state store knows, in one snapshot."""
    async with store.read() as connection:
        catalog = await read_catalog(connection, cluster.name)
        samples = await list_samples(connection, cluster.name, limit=_SAMPLES)
        drills = await list_drills(connection, cluster=cluster.name, limit=_DRILLS)
    return Overview(
        cluster=cluster,
        policy=policy,
        sets=[one for one in reversed(catalog.sets) if one.state is not SetState.DELETED],
        intervals=recovery_intervals(catalog, samples),
        gaps=catalog.gaps,
        drills=drills,
    )
