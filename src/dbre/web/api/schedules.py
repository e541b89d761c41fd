"""Schedules: operations that begin by the calendar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel

from dbre.core.identity.model import Permission, Principal
from dbre.core.operation.desk import Submission
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.schedule.model import Schedule, ScheduleState
from dbre.core.operation.schedule.store import new_state, read_states
from dbre.core.operation.schedule.switching import switch_schedule
from dbre.core.operation.target_labels import labels_of
from dbre.web.access import ApiPrincipal, Wired
from dbre.web.api.listing import Listing, listing
from dbre.web.problems import ERRORS, NotFound
from dbre.web.services import Services

__all__ = ["ScheduleName", "ScheduleRow", "router", "run_schedule", "schedule_labels", "schedule_rows", "suspend_schedule"]

router = APIRouter(prefix="/schedules", tags=["schedules"], responses={code: ERRORS[code] for code in (401, 403, 422, 503)})

ScheduleName = Annotated[str, Path(max_length=100, description="Name of the schedule.")]
_CHANGE: dict[int | str, dict[str, Any]] = {code: ERRORS[code] for code in (400, 404, 409)}
_NEXT_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """A schedule of the configuration and how far it has come."""

    schedule: Schedule
    state: ScheduleState
    next_runs: Sequence[datetime]  # when operations begin, with the jitter

    @property
    def word(self) -> str:
        """How it stands."""
        if not self.schedule.is_enabled:
            return "disabled"
        return "suspended" if self.state.is_suspended else "enabled"


class SkippedItem(BaseModel):
    """Slots that were not run."""

    slot: datetime
    count: int
    reason: str


class ScheduleItem(BaseModel):
    """A schedule."""

    name: str
    cron: str
    time_zone: str
    operation: str
    input: dict[str, Any]
    state: str
    suspended_by: str | None
    next_runs: list[datetime]
    last_slot: datetime | None
    last_operation_id: UUID | None
    last_skipped: SkippedItem | None


class ScheduleChange(BaseModel):
    """What became of a request."""

    name: str
    status: str
    operation_id: UUID | None = None


@router.get("")
async def list_schedules(wired: Wired, principal: ApiPrincipal) -> Listing[ScheduleItem]:
    """The schedules of the configuration that you may see."""
    return listing("ScheduleList", [_item(one) for one in await schedule_rows(wired, principal)], wired.clock)


@router.post("/{name}/suspend", responses=_CHANGE)
async def suspend(wired: Wired, principal: ApiPrincipal, name: ScheduleName) -> ScheduleChange:
    """Run no slot of it until it is resumed; for administrators."""
    is_changed = await suspend_schedule(wired, principal, name, is_suspended=True)
    return ScheduleChange(name=name, status="suspended" if is_changed else "already_suspended")


@router.post("/{name}/resume", responses=_CHANGE)
async def resume(wired: Wired, principal: ApiPrincipal, name: ScheduleName) -> ScheduleChange:
    """Let it run again from its next slot; for administrators."""
    is_changed = await suspend_schedule(wired, principal, name, is_suspended=False)
    return ScheduleChange(name=name, status="resumed" if is_changed else "already_resumed")


@router.post("/{name}/run", status_code=202, responses=_CHANGE)
async def run(wired: Wired, principal: ApiPrincipal, name: ScheduleName, response: Response) -> ScheduleChange:
    """Submit its operation once more, now, in your own name; its slots go on as before."""
    record = await run_schedule(wired, principal, name)
    response.headers["Location"] = f"/api/v1/operations/{record.id}"
    return ScheduleChange(name=name, status="submitted", operation_id=record.id)


async def schedule_rows(wired: Services, principal: Principal) -> Sequence[ScheduleRow]:
    """The schedules whose clusters the principal may see, in the order of the configuration."""
    async with wired.store.read() as connection:
        states = await read_states(connection)
    shown = [one for one in wired.operations.schedules if _may_see(wired, principal, one)]
    return [_row(one, states, wired.clock.now()) for one in shown]


async def suspend_schedule(wired: Services, principal: Principal, name: str, *, is_suspended: bool) -> bool:
    """Suspend or resume; whether that changed anything. Raises: NotFound, Denied."""
    labels = schedule_labels(wired, _find(wired, principal, name))
    store, recorder, clock = wired.store, wired.audit.recorder, wired.clock
    return await switch_schedule(store, recorder, clock, principal, name, is_suspended=is_suspended, labels=labels)


async def run_schedule(wired: Services, principal: Principal, name: str) -> OperationRecord:
    """Submit its operation in the principal's name. Raises: NotFound; whatever the desk raises."""
    schedule = _find(wired, principal, name)
    asked = Submission(
        reason=f"schedule {name}, run now", confirm=schedule.confirm, zone=schedule.zone, priority=schedule.priority
    )
    return await wired.desk(principal).request(schedule.kind, schedule.input, asked)


def _find(wired: Services, principal: Principal, name: str) -> Schedule:
    for one in wired.operations.schedules:
        if one.name == name and _may_see(wired, principal, one):
            return one
    raise NotFound(f"no schedule is named {name!r}", hint="dbre schedule list names them")


def schedule_labels(wired: Services, schedule: Schedule) -> Mapping[str, str] | None:
    """The labels of the cluster that its operation acts on; None: its input names none."""
    cluster = schedule.input.get("cluster")
    return labels_of(f"cluster/{cluster}", wired.fleet) if isinstance(cluster, str) else None


def _may_see(wired: Services, principal: Principal, schedule: Schedule) -> bool:
    return principal.may(Permission.READ, schedule_labels(wired, schedule))


def _row(schedule: Schedule, states: Mapping[str, ScheduleState], now: datetime) -> ScheduleRow:
    state = states.get(schedule.name) or new_state(schedule.name)
    runs: list[datetime] = []
    slot = now
    while schedule.is_enabled and not state.is_suspended and len(runs) < _NEXT_RUNS:
        slot = schedule.cron.after(slot)
        runs.append(schedule.begins_at(slot))
    return ScheduleRow(schedule=schedule, state=state, next_runs=runs)


def _item(row: ScheduleRow) -> ScheduleItem:
    schedule, state, skipped = row.schedule, row.state, row.state.last_skipped
    return ScheduleItem(
        name=schedule.name,
        cron=schedule.cron.expression,
        time_zone=schedule.cron.zone.key,
        operation=schedule.kind,
        input=dict(schedule.input),
        state=row.word,
        suspended_by=state.suspended_by,
        next_runs=list(row.next_runs),
        last_slot=state.last_slot,
        last_operation_id=state.last_operation_id,
        last_skipped=SkippedItem(slot=skipped.slot, count=skipped.count, reason=skipped.reason) if skipped else None,
    )
