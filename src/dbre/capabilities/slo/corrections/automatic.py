"""Corrections that planned operations make by themselves: what was planned is not what the budget is for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from uuid import UUID

import structlog

from dbre.capabilities.slo.correction import Correction, slots_between
from dbre.capabilities.slo.correction_repository import add_correction
from dbre.capabilities.slo.corrections.documents import SloCorrectionsDocument
from dbre.capabilities.slo.definition import Definition, SloInstance, instances_of
from dbre.core.audit.log import AuditLog
from dbre.core.audit.model import AuditDraft
from dbre.core.clock import Clock
from dbre.core.events import Event, Subscription
from dbre.core.fleet import Fleet
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.reading import find
from dbre.core.operation.target_labels import cluster_of
from dbre.core.store import Store

__all__ = ["AutomaticCorrections"]

_ENDED = ("operation.succeeded", "operation.compensated", "operation.failed")
_ACTOR = "dbre"

_log = structlog.get_logger(__name__)


class AutomaticCorrections:
    """Makes one correction for each SLO of the cluster, from the beginning of the operation to its end."""

    def __init__(
        self, store: Store, definitions: Sequence[Definition], fleet: Fleet, clock: Clock, *, settings: SloCorrectionsDocument
    ) -> None:
        self._store = store
        self._definitions = tuple(definitions)
        self._fleet = fleet
        self._clock = clock
        self._settings = settings
        self._audit = AuditLog(clock)

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """What wants to hear of the ends of operations; nothing where no kind is configured."""
        if not self._settings.operations:
            return ()
        return (Subscription(name="slo-corrections", kinds=_ENDED, handler=self, timeout_seconds=60.0),)

    async def __call__(self, event: Event) -> None:
        """Correct what an operation that has ended did; twice is as once."""
        kind = str(event.data.get("kind", ""))
        if not any(fnmatchcase(kind, pattern) for pattern in self._settings.operations):
            return
        async with self._store.read() as connection:
            record = await find(connection, UUID(str(event.data["operation_id"])))
        cluster = cluster_of(record.planned.plan.target)
        if cluster is None or record.started_at is None:
            return
        wholes = [replace(one, has_roll_up=True) for one in self._definitions]  # what all groups count, shown or not
        chosen = [one for one in instances_of(wholes, self._fleet) if self._concerns(one, cluster)]
        made = [_correction(one, record, self._clock.now()) for one in chosen]
        async with self._store.begin() as connection:
            for one in made:
                if await add_correction(connection, one):
                    await self._audit.record(connection, _draft(one, kind))
        _log.info("slo_corrected", operation=str(record.id), kind=kind, cluster=cluster, slos=len(made))

    def _concerns(self, instance: SloInstance, cluster: str) -> bool:
        wanted = self._settings.slos
        return instance.cluster.name == cluster and (wanted is None or instance.definition.name in wanted)


def _correction(instance: SloInstance, record: OperationRecord, now: datetime) -> Correction:
    began = record.started_at or now
    start, end = slots_between(began, record.ended_at or now)
    name = f"{str(record.id).replace('-', '')[:24]}"
    return Correction(
        id=f"{name}-{instance.definition.hash[:11]}",
        slo=instance.definition.name,
        cluster=instance.cluster.name,
        group="",
        start_slot=start,
        end_slot=end,
        reason=f"planned operation {record.planned.kind}: {record.planned.plan.summary}"[:1000],
        operation_id=str(record.id),
        created_by=_ACTOR,
        created_at=now,
    )


def _draft(one: Correction, kind: str) -> AuditDraft:
    data = {"slo": one.instance, "start": one.start.isoformat(), "end": one.end.isoformat()}
    subject = f"operation/{one.operation_id}"
    return AuditDraft(action="slo.corrected", actor=_ACTOR, subject=subject, data={**data, "operation_kind": kind})
