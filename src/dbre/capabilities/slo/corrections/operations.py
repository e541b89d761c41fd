"""``slo.correct`` and ``slo.revoke_correction``: times that do not count, with a plan and a reason."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dbre.capabilities.slo.assessment import budget_of
from dbre.capabilities.slo.correction import Correction, slots_between
from dbre.capabilities.slo.correction_repository import (
    add_correction,
    read_corrections,
    restore_correction,
    revoke_correction,
)
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition, SloInstance
from dbre.capabilities.slo.errors import InvalidCorrection
from dbre.capabilities.slo.reading import LOST_AFTER, read_snapshot, select_instances
from dbre.capabilities.slo.series import slot_at
from dbre.capabilities.slo.window import span
from dbre.core.errors import UsageError
from dbre.core.fleet import Fleet
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, Verification, step
from dbre.core.operation.plan import Change, Plan, Step
from dbre.core.store import Store
from dbre.core.text import printable
from dbre.core.units import format_duration, format_percent

__all__ = ["CorrectInput", "CorrectSlo", "RevokeCorrection", "RevokeInput"]

_LONGEST = timedelta(days=31)
_FURTHEST_AHEAD = timedelta(days=90)


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise InvalidCorrection("a moment has no time zone", hint="write 2026-11-01T10:00:00Z, or with an offset: +01:00")
    return moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_utc)]


class CorrectInput(BaseModel):
    """Which SLO, which time, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slo: Annotated[str, Field(min_length=1, max_length=500)]
    """One SLO on one cluster: orders-writes@orders; or a group there."""
    start: Moment
    end: Moment
    reason: Annotated[str, Field(min_length=3, max_length=1000)]


class RevokeInput(BaseModel):
    """Which correction."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1, max_length=36)]


class _Parts:
    """What both operations need."""

    def __init__(self, *, definitions: Sequence[Definition], fleet: Fleet, store: Store | None) -> None:
        self._definitions = tuple(definitions)
        self._fleet = fleet
        self._given_store = store

    @property
    def _store(self) -> Store:
        if self._given_store is None:
            raise UsageError("corrections are kept in a state store, and none is open here", hint="dbre db status")
        return self._given_store

    def _instance(self, name: str) -> SloInstance:
        found = select_instances(self._definitions, self._fleet, name=name)
        if "@" not in name or len(found) != 1:
            raise InvalidCorrection(
                f"{printable(name, limit=150)} is an SLO on {len(found)} clusters: a correction is about one",
                hint=f"write {printable(found[0].id, limit=150)}",
            )
        return found[0]


class CorrectSlo(_Parts, Operation[CorrectInput]):
    """Leave a time out of the budget of an SLO; the counts themselves stay, so that it can be revoked."""

    kind, version = "slo.correct", 1
    document = CorrectInput

    async def plan(self, context: PlanContext, asked: CorrectInput) -> Plan:
        """Say what the correction takes out, and what that does to the budget.

        Raises: UnknownSlo; InvalidCorrection for a time that is empty, too long or too far away.
        """
        instance, now = self._instance(asked.slo), context.clock.now()
        start, end = slots_between(asked.start, asked.end)
        if not start < end or asked.end <= asked.start:
            raise InvalidCorrection("the correction ends before it begins", hint="give --from before --to")
        if asked.end - asked.start > _LONGEST:
            length = format_duration((asked.end - asked.start).total_seconds())
            raise InvalidCorrection(f"the correction lasts {length}, and may last 31 d", hint="make several of them")
        if asked.end > now + _FURTHEST_AHEAD:
            raise InvalidCorrection("the correction ends more than 90 d from now", hint="make it nearer to its time")
        given = {"cluster": instance.cluster.name, "group": instance.group, "start_slot": start, "end_slot": end}
        shown = f"{asked.start:%Y-%m-%d %H:%MZ} to {asked.end:%Y-%m-%d %H:%MZ}"
        return Plan(
            target=f"slo/{instance.id}",
            summary=f"leave {shown} out of the budget of {printable(instance.id, limit=150)}",
            steps=(
                Step(
                    "add",
                    summary=f"leave out {shown}",
                    input={"slo": instance.definition.name, **given, "reason": asked.reason},
                    undo="revoke",
                ),
            ),
            changes=await self._effect(instance, start, end, now),
            blast_radius=("budget, burn rates and alerts of this SLO are decided without that time",),
        )

    async def _effect(self, instance: SloInstance, start: int, end: int, now: datetime) -> tuple[Change, ...]:
        if end > slot_at(now):
            return ()  # what is not over yet cannot be told
        snapshot = await read_snapshot(self._store, [instance], now)
        measured = snapshot.measured(instance, now, lost_after=LOST_AFTER)
        counts = measured.series.window(start, end)
        at = span(instance.definition.window, now)
        inside = measured.budget_series.window(max(start, at.start_slot), min(end, at.seen_slot))
        budget = budget_of(measured, at.start_slot, at.end_slot, at.seen_slot)
        part = inside.bad / measured.units / budget.allowed_bad if budget.allowed_bad else 0
        return (
            Change(subject=f"{instance.id}: events of that time", before=_told(counts), after="left out"),
            Change(
                subject=f"{instance.id}: budget spent in that time", before=format_percent(float(part), digits=1), after="0 %"
            ),
        )

    @step(timeout_seconds=60.0, idempotent=True)
    async def add(self, context: StepContext) -> Mapping[str, Any]:
        """Store the correction; its id is that of the operation, so that it is made once."""
        given = context.input
        correction = Correction(
            id=str(context.token.operation_id),
            slo=given["slo"],
            cluster=given["cluster"],
            group=given["group"],
            start_slot=given["start_slot"],
            end_slot=given["end_slot"],
            reason=given["reason"],
            operation_id=None,
            created_by=context.requested_by,
            created_at=context.clock.now(),
        )
        async with self._store.begin() as connection:
            await add_correction(connection, correction)
        return {"id": correction.id}

    @step(timeout_seconds=60.0, idempotent=True)
    async def revoke(self, context: StepContext) -> Mapping[str, Any]:
        """Let it count again."""
        number = str(context.token.operation_id)
        async with self._store.begin() as connection:
            await revoke_correction(connection, number, by=context.requested_by, now=context.clock.now())
        return {"id": number}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """See that it is there."""
        async with self._store.read() as connection:
            found = await read_corrections(connection, correction_id=str(context.token.operation_id))
        holds = bool(found) and found[0].revoked_at is None
        return (Verification(subject=context.plan.target, holds=holds, detail="the correction is stored" if holds else "gone"),)


class RevokeCorrection(_Parts, Operation[RevokeInput]):
    """Let what a correction took out count again."""

    kind, version = "slo.revoke_correction", 1
    document = RevokeInput

    async def plan(self, context: PlanContext, asked: RevokeInput) -> Plan:  # noqa: ARG002 - it depends on the store alone
        """Find the correction. Raises: InvalidCorrection where there is none, or it is revoked already."""
        async with self._store.read() as connection:
            found = await read_corrections(connection, correction_id=asked.id)
        if not found:
            raise InvalidCorrection(f"no correction {printable(asked.id, limit=50)}", hint="dbre slo correct list")
        (one,) = found
        if one.revoked_at is not None:
            raise InvalidCorrection(f"correction {one.id} was revoked by {printable(one.revoked_by or '?', limit=80)} already")
        shown = f"{one.start:%Y-%m-%d %H:%MZ} to {one.end:%Y-%m-%d %H:%MZ}"
        return Plan(
            target=f"slo/{one.instance}",
            summary=f"let {shown} count again for {printable(one.instance, limit=150)}",
            steps=(Step("revoke", summary=f"revoke the correction of {shown}", input={"id": one.id}, undo="restore"),),
            changes=(Change(subject=f"{one.instance}: {shown}", before="left out", after="counts"),),
            blast_radius=("the alerts of this SLO are decided with that time",),
        )

    @step(timeout_seconds=60.0, idempotent=True)
    async def revoke(self, context: StepContext) -> Mapping[str, Any]:
        """Revoke it."""
        async with self._store.begin() as connection:
            await revoke_correction(connection, context.input["id"], by=context.requested_by, now=context.clock.now())
        return {"id": context.input["id"]}

    @step(timeout_seconds=60.0, idempotent=True)
    async def restore(self, context: StepContext) -> Mapping[str, Any]:
        """Leave the time out again."""
        async with self._store.begin() as connection:
            await restore_correction(connection, context.input["id"])
        return {"id": context.input["id"]}


def _told(counts: Counts) -> str:
    return f"{counts.bad} bad of {counts.total}"
