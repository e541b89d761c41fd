"""What policies want done by the calendar, as schedules of operations."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from dbre.capabilities.backup.documents import BackupDocument, PolicyDocument
from dbre.capabilities.backup.ground import selects
from dbre.core.fleet import Cluster, Fleet
from dbre.core.operation.schedule.model import Misfire, Schedule
from dbre.core.operation.schedule.slots import Cron, parse_zone

__all__ = ["policies_by_cluster", "schedules_of"]

_JITTER = timedelta(minutes=5)
"""So that the copies of a fleet do not begin in the same second; each cluster's part of it is drawn alike everywhere."""
_LATE = timedelta(hours=1)
_LONGEST_NAME = 63


def schedules_of(settings: BackupDocument, fleet: Fleet) -> tuple[Schedule, ...]:
    """The schedules of every cluster that a policy selects; names begin with ``backup-``."""
    found = policies_by_cluster(settings, fleet)
    return tuple(one for cluster, policy in found for one in _of(cluster, policy))


def policies_by_cluster(settings: BackupDocument, fleet: Fleet) -> list[tuple[Cluster, PolicyDocument]]:
    """Each cluster with the first policy that selects it; clusters without one are left out."""
    found = []
    for cluster in fleet.clusters:
        policy = next((one for one in settings.policies if selects(one, cluster)), None)
        if policy is not None:
            found.append((cluster, policy))
    return found


def _of(cluster: Cluster, policy: PolicyDocument) -> Iterator[Schedule]:
    name, zone = cluster.name, policy.time_zone
    if policy.full_cron is not None:
        yield _schedule(name, "full", policy.full_cron, zone, "backup.take", {"cluster": name, "kind": "full"})
    if policy.incremental_cron is not None:
        # auto, not incremental: where no increment can be made, a full copy is, rather than none
        yield _schedule(name, "incremental", policy.incremental_cron, zone, "backup.take", {"cluster": name, "kind": "auto"})
    if policy.retention.cron is not None:
        yield _schedule(name, "expire", policy.retention.cron, zone, "backup.expire", {"cluster": name})
    if policy.drill.cron is not None:
        given = {"cluster": name, "target": policy.drill.target, "mode": policy.drill.mode}
        yield _schedule(name, "drill", policy.drill.cron, policy.drill.time_zone, "backup.drill", given)


def _schedule(cluster: str, what: str, cron: str, zone: str, kind: str, given: dict[str, Any]) -> Schedule:
    return Schedule(
        name=_name(cluster, what),
        cron=Cron.parse(cron, parse_zone(zone)),
        kind=kind,
        input=given,
        jitter=_JITTER,
        misfire=Misfire.RUN_ONCE,
        misfire_grace=_LATE,
    )


def _name(cluster: str, what: str) -> str:
    """Unique, and no longer than a schedule's name may be.

    >>> _name("orders", "full")
    'backup-orders-full'
    """
    name = f"backup-{cluster}-{what}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(cluster.encode()).hexdigest()[:8]
    room = _LONGEST_NAME - len(f"backup--{digest}-{what}")
    return f"backup-{cluster[:room]}-{digest}-{what}"
