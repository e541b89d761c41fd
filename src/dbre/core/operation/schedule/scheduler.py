"""Submits operations when their slots come: one a slot, however many schedulers run."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import structlog

from dbre.core.clock import Clock
from dbre.core.errors import DbreError, StoreError
from dbre.core.identity.model import Principal, PrincipalKind
from dbre.core.operation.desk import OperationDesk, Submission
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.schedule.decision import Decision, decide
from dbre.core.operation.schedule.model import Schedule, ScheduleState, Skipped
from dbre.core.operation.schedule.store import advance, forget_others, new_state, read_states
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost
from dbre.core.text import printable

__all__ = ["Scheduler", "Submit", "submission_of", "submit_through", "system_principal"]

_LONGEST_PAUSE_SECONDS = 10.0  # the wall clock may be set, and a schedule resumed, while nothing else happens
_SHORTEST_PAUSE_SECONDS = 0.2
_STORE_WAIT_SECONDS = 5.0
_AGAIN_SECONDS = 5.0  # after a submission that failed and may succeed later
_log = structlog.get_logger(__name__)

Submit = Callable[[Schedule, Submission], Awaitable[OperationRecord]]
"""Plans and submits the operation of a schedule; the same dedup key gives the same operation again."""


def system_principal(schedule: Schedule) -> Principal:
    """Who submits: ``schedule:NAME``. Rights are given to it by whoever wires the desk."""
    return Principal(name=schedule.actor, kind=PrincipalKind.SYSTEM)


def submit_through(desk_for: Callable[[Schedule], OperationDesk]) -> Submit:
    """Submit at a desk that acts for the schedule."""

    async def submit(schedule: Schedule, submission: Submission) -> OperationRecord:
        desk = desk_for(schedule)
        preview = await desk.preview(schedule.kind, schedule.input)
        return await desk.submit(preview.planned, submission)

    return submit


def submission_of(schedule: Schedule, slot: datetime) -> Submission:
    """How the operation of a slot is submitted."""
    return Submission(
        reason=f"schedule {schedule.name}, slot {slot:%Y-%m-%d %H:%MZ}",
        confirm=schedule.confirm,
        dedup_key=schedule.dedup_key(slot),
        zone=schedule.zone,
        priority=schedule.priority,
    )


class Scheduler:
    """Looks after the schedules of a configuration. Any number may run on a store: each slot runs once."""

    def __init__(self, store: Store, schedules: Sequence[Schedule], submit: Submit, clock: Clock) -> None:
        self._store = store
        self._schedules = tuple(schedules)
        self._submit = submit
        self._clock = clock
        self._again_at: dict[str, float] = {}  # monotonic: submissions that failed and wait for another try

    async def run(self) -> None:
        """Submit what comes until cancelled. Raises: ControlPlaneLockLost; other trouble of the store is waited out."""
        names = [one.name for one in self._schedules]
        is_clean = False
        while True:
            try:
                if not is_clean:
                    await self._store.grouped(lambda connection: forget_others(connection, names))
                    is_clean = True
                seconds = await self.look()
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.error("schedules_not_read", code=error.code, error=error.message)
                seconds = _STORE_WAIT_SECONDS
            await self._clock.sleep(seconds)

    async def look(self) -> float:
        """Judge every schedule once; gives the seconds until it is worth looking again."""
        if not self._schedules:
            return _LONGEST_PAUSE_SECONDS
        async with self._store.read() as connection:
            states = await read_states(connection)
        seconds = _LONGEST_PAUSE_SECONDS
        for schedule in self._schedules:
            if self._clock.monotonic() < self._again_at.get(schedule.name, float("-inf")):
                continue
            now = self._clock.now()
            state = states.get(schedule.name) or new_state(schedule.name)
            decision = decide(schedule, state, now)
            await self._obey(schedule, state, decision)
            seconds = min(seconds, (decision.next_at - self._clock.now()).total_seconds())
        return max(seconds, _SHORTEST_PAUSE_SECONDS)

    async def _obey(self, schedule: Schedule, state: ScheduleState, decision: Decision) -> None:
        cursor, operation, skipped = decision.cursor, None, decision.skipped
        if cursor is None:
            return
        if decision.run is not None:
            try:
                operation = await self._submit(schedule, submission_of(schedule, decision.run))
            except StoreError:
                raise
            except DbreError as error:
                skipped = self._failed(schedule, decision.run, error)
                if skipped is None:
                    return
        if skipped is not None:
            _log.warning("schedule_slot_skipped", schedule=schedule.name, slot=str(skipped.slot), reason=skipped.reason)
        await self._store.grouped(
            lambda connection: advance(
                self._store,
                connection,
                schedule,
                state,
                cursor=cursor,
                operation_id=None if operation is None else operation.id,
                skipped=skipped,
            )
        )
        if operation is not None:
            _log.info("schedule_slot_submitted", schedule=schedule.name, slot=str(cursor), operation=str(operation.id))

    def _failed(self, schedule: Schedule, slot: datetime, error: DbreError) -> Skipped | None:
        """What is noted of a submission that was refused; None: it is tried again."""
        is_late = self._clock.now() - schedule.begins_at(slot) > schedule.misfire_grace
        if error.retryable and not is_late:
            _log.warning("schedule_submission_failed", schedule=schedule.name, error=error.message)
            self._again_at[schedule.name] = self._clock.monotonic() + _AGAIN_SECONDS
            return None
        return Skipped(slot=slot, count=1, reason=printable(f"not submitted: {error.message}", limit=500))
