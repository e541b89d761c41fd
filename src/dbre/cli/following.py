"""Waiting for an operation: shows how it goes on, runs it where nobody else does, and leaves it in order."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID

from dbre.cli.progress_view import ProgressView
from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.operation.desk import OperationDesk, RunsHere
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.states import OperationState

__all__ = ["Ending", "Followed", "follow"]

_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.1, 1.0
_PATIENCE_SECONDS = 30.0  # with a store or a control plane that does not answer for a while
_SERVED_SECONDS = 2.0  # how often it is seen whether a worker lives
_FAREWELL_SECONDS = 5.0
_STANDS = frozenset({OperationState.AWAITING_APPROVAL, OperationState.PLANNED})


class Ending(Enum):
    """Why the waiting ended."""

    ENDED = "ended"  # nothing more will happen, or a person must decide
    TIMED_OUT = "timed out"
    INTERRUPTED = "interrupted"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How it stands, and why nobody waits any more."""

    record: OperationRecord
    ending: Ending
    ran_here: bool  # whether this process was the one that ran it when it left


@dataclass(slots=True)
class _Signals:
    interrupts: int = 0
    is_terminated: bool = False
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def interrupt(self) -> None:
        self.interrupts += 1
        self.came.set()

    def terminate(self) -> None:
        self.is_terminated = True
        self.came.set()


async def follow(
    desk: OperationDesk,
    operation_id: UUID,
    *,
    view: ProgressView,
    clock: Clock,
    timeout_seconds: float | None = None,
    may_run: bool = True,
) -> Followed:
    """Wait until nothing more happens by itself. ``may_run``: run it in this process where no worker does.

    Ctrl-C leaves, and the operation goes on; where this very process runs it, the first Ctrl-C only says so, the second
    cancels it and waits until it is undone, the third leaves. Raises: what the desk raises, after some patience.
    """
    with _handled() as signals:
        one = _Following(desk, operation_id, view, clock, signals, may_run=may_run)
        try:
            return await one.run(timeout_seconds)
        finally:
            await one.stop()
            view.close()


class _Following:
    def __init__(
        self, desk: OperationDesk, operation_id: UUID, view: ProgressView, clock: Clock, signals: _Signals, *, may_run: bool
    ) -> None:
        self._desk = desk
        self._id = operation_id
        self._view = view
        self._clock = clock
        self._signals = signals
        self._may_run = may_run
        self._runner: asyncio.Task[None] | None = None
        self._served_until = 0.0
        self._heard = 0  # interrupts that were answered
        self._is_warned = False

    async def run(self, timeout_seconds: float | None) -> Followed:
        end = self._clock.monotonic() + timeout_seconds if timeout_seconds is not None else None
        pause = _SHORTEST_SECONDS
        last: OperationRecord | None = None
        while True:
            record = await self._look()
            self._view.show(record, now=self._clock.now())
            if record.is_final or (record.state is OperationState.NEEDS_OPERATOR and not self._is_running):
                return self._left(record, Ending.ENDED)
            if (ending := await self._told(record)) is not None:
                return self._left(record, ending)
            if end is not None and self._clock.monotonic() >= end:
                return self._left(record, Ending.TIMED_OUT)
            await self._run_if_nobody_does(record)
            pause = _SHORTEST_SECONDS if last != record else min(pause * 1.5, _LONGEST_SECONDS)
            last = record
            await self._wait(pause if end is None else max(min(pause, end - self._clock.monotonic()), 0))

    async def stop(self) -> None:
        """Leave the operation where it is: nothing is undone, and the next worker can go on at once."""
        if self._runner is not None and not self._runner.done():
            self._runner.cancel()
            await asyncio.wait({self._runner}, timeout=_FAREWELL_SECONDS)

    @property
    def _is_running(self) -> bool:
        return self._runner is not None and not self._runner.done()

    def _left(self, record: OperationRecord, ending: Ending) -> Followed:
        return Followed(record=record, ending=ending, ran_here=self._is_running)

    async def _look(self) -> OperationRecord:
        end = self._clock.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return await self._desk.get(self._id)
            except DbreError as error:
                if not error.retryable or self._clock.monotonic() > end or self._signals.came.is_set():
                    raise
                self._view.say(f"waiting: {error.message}")
                await self._wait(_LONGEST_SECONDS)

    async def _told(self, record: OperationRecord) -> Ending | None:
        """What the signals say; the number of interrupts counts, not how fast they came."""
        self._signals.came.clear()
        if self._signals.is_terminated:
            return Ending.TERMINATED
        while self._heard < self._signals.interrupts:
            self._heard += 1
            if not self._is_running or self._heard > 2:
                return Ending.INTERRUPTED
            if self._heard == 1:
                self._view.say(
                    f"this process runs operation {record.id}, which goes on; "
                    "Ctrl-C once more cancels it and undoes what was done"
                )
            else:
                await self._desk.cancel(record.id, reason="Ctrl-C")
                self._view.say("cancelled: waiting until what was done is undone; Ctrl-C once more leaves it as it is")
        return None

    async def _run_if_nobody_does(self, record: OperationRecord) -> None:
        if self._runner is not None and self._runner.done():
            runner, self._runner = self._runner, None
            self._served_until = self._clock.monotonic() + _SHORTEST_SECONDS
            runner.result()
        now = self._clock.monotonic()
        if self._is_running or not isinstance(self._desk, RunsHere) or now < self._served_until or record.state in _STANDS:
            return
        if await self._desk.is_served(record.zone):
            self._served_until = now + _SERVED_SECONDS
        elif self._may_run and record.zone is None and not _is_paused_by_somebody(record):
            self._runner = asyncio.create_task(self._desk.run_here(self._id), name=f"operation-{self._id}")
        else:
            self._served_until = now + _SERVED_SECONDS
            self._warn(record)

    def _warn(self, record: OperationRecord) -> None:
        if self._is_warned or _is_paused_by_somebody(record):
            return
        self._is_warned = True
        who = f"no worker of zone {record.zone} lives" if record.zone is not None else "no worker lives"
        how = "start one: dbre worker" if record.zone is not None else "start one (dbre server, dbre worker), or add --run"
        self._view.say(f"{who}, so nobody runs it; {how}")

    async def _wait(self, seconds: float) -> None:
        waiting: set[asyncio.Future[object]] = {asyncio.ensure_future(self._signals.came.wait())}
        if self._is_running and self._runner is not None:
            waiting.add(self._runner)  # type: ignore[arg-type]  # a task of None
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting - {self._runner}:
                one.cancel()


def _is_paused_by_somebody(record: OperationRecord) -> bool:
    return record.state is OperationState.PAUSED and record.hold is not None and not record.hold.is_gate


@contextmanager
def _handled() -> Iterator[_Signals]:
    signals, loop = _Signals(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, signals.interrupt)
    loop.add_signal_handler(signal.SIGTERM, signals.terminate)
    try:
        yield signals
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)
