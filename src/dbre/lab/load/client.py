"""An open-loop client: operations are due on a fixed schedule, and each one is counted from the moment at which it was due.

A closed loop, which sends the next operation when the last one ends, would send almost none during an outage and so hide
it ("coordinated omission"). Here an outage of 3 s at 20 operations a second is 60 failures.
"""

import asyncio
import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from dbre.core.errors import Unreachable
from dbre.core.pool import Pool
from dbre.lab.errors import LabError
from dbre.lab.load.drivers import driver_for
from dbre.lab.load.model import Ledger, LedgerAudit, LoadConnection, LoadKind, LoadPlan, LoadReport, LoadTarget, SecondCount
from dbre.lab.load.tally import FAILED, SUCCEEDED, Tally

__all__ = ["LoadClient"]

_PREPARE_SECONDS = 30.0


class LoadClient:
    """One run of a load. ``run()`` once; ``report()`` at any time, also while it runs.

    ``ledger_file`` gets one JSON line for every write as soon as its fate is known.
    """

    def __init__(self, target: LoadTarget, plan: LoadPlan, *, ledger_file: Path | None = None, run: str | None = None) -> None:
        self.target = target
        self.plan = plan
        self.run_id = run or secrets.token_hex(8)
        self._ledger_file = ledger_file
        self._driver = driver_for(target, deadline_seconds=plan.deadline_seconds)
        self._failures: tuple[type[Exception], ...] = (TimeoutError, Unreachable, *self._driver.errors)
        self._pool: Pool[LoadConnection] = Pool(self._driver.connect, limit=plan.connections, name="the load's pool")
        pair = 2 / plan.rate
        self._tallies = {
            kind: Tally(kind, offset_seconds=offset, interval_seconds=pair, late_seconds=plan.late_seconds)
            for kind, offset in ((LoadKind.WRITE, 0.0), (LoadKind.READ, pair / 2))
        }
        self._stop = asyncio.Event()
        self._started_at: datetime | None = None
        self._origin = 0.0  # of the loop's clock
        self._ended: float | None = None

    async def run(self) -> LoadReport:
        """Load until the duration is over or ``stop`` is called, and wait for what is under way.

        Raises: Unreachable if the database cannot be prepared; later failures of the database are what is counted.
        """
        try:
            async with asyncio.timeout(_PREPARE_SECONDS):
                await self._driver.prepare()
        except self._failures as error:
            raise Unreachable(
                f"the load cannot begin: {self._driver.reason(error)} at {', '.join(map(str, self.target.addresses))}"
            ) from error
        ledger = _open_ledger(self._ledger_file) if self._ledger_file else None
        loop = asyncio.get_running_loop()
        self._origin, self._started_at = loop.time(), datetime.now(UTC)
        try:
            async with asyncio.TaskGroup() as group:
                await self._schedule(group, ledger)
        finally:
            self._ended = loop.time() - self._origin
            self._pool.close()
            if ledger is not None:
                ledger.close()
        return self.report()

    def stop(self) -> None:
        """End the run soon: what is under way is waited for."""
        self._stop.set()

    def report(self) -> LoadReport:
        """What is known by now. Raises: LabError before the run has begun."""
        if self._started_at is None:
            raise LabError("the load has not begun: there is nothing to report")
        now = self.running_seconds
        writes, reads = (
            self._tallies[kind].summary(started_at=self._started_at, end_seconds=now)
            for kind in (LoadKind.WRITE, LoadKind.READ)
        )
        return LoadReport(
            started_at=self._started_at,
            ended_at=datetime.fromtimestamp(self._started_at.timestamp() + now, UTC),
            plan=self.plan,
            writes=writes,
            reads=reads,
            ledger=self.ledger(),
        )

    @property
    def running_seconds(self) -> float:
        """How long ago the first operation was due; 0 before."""
        if self._started_at is None:
            return 0.0
        return self._ended if self._ended is not None else asyncio.get_running_loop().time() - self._origin

    def second(self, number: int) -> SecondCount:
        """What is known by now of the operations, of both kinds, that were due in one second of the run."""
        writes, reads = (self._tallies[kind].second(number) for kind in (LoadKind.WRITE, LoadKind.READ))
        return SecondCount(
            second=number,
            succeeded=writes.succeeded + reads.succeeded,
            failed=writes.failed + reads.failed,
            late=writes.late + reads.late,
        )

    def ledger(self) -> Ledger:
        """The writes whose fate is known by now."""
        tally = self._tallies[LoadKind.WRITE]
        return Ledger(run=self.run_id, acknowledged=tally.numbers(SUCCEEDED), unacknowledged=tally.numbers(FAILED))

    async def audit(self) -> LedgerAudit:
        """Compare the ledger with what the database holds now. Raises: Unreachable if it does not answer."""
        ledger = self.ledger()
        try:
            async with asyncio.timeout(_PREPARE_SECONDS):
                stored = set(await self._driver.stored(self.run_id))
        except self._failures as error:
            raise Unreachable(f"the ledger cannot be compared: {self._driver.reason(error)}") from error
        return LedgerAudit(
            lost=tuple(number for number in ledger.acknowledged if number not in stored),
            unacknowledged_stored=tuple(number for number in ledger.unacknowledged if number in stored),
        )

    async def _schedule(self, group: asyncio.TaskGroup, ledger: TextIO | None) -> None:
        loop = asyncio.get_running_loop()
        duration = self.plan.duration_seconds
        kinds = (LoadKind.WRITE, LoadKind.READ)
        position = 0
        while not self._stop.is_set():
            tally = self._tallies[kinds[position % 2]]
            due = tally.due(position // 2)
            if duration is not None and due >= duration:
                return
            wait = self._origin + due - loop.time()
            if wait > 0 and await _is_set_within(self._stop, wait):
                return
            group.create_task(self._operate(tally, tally.begin(), ledger))
            position += 1
            if position % 64 == 0:
                await asyncio.sleep(0)  # after a pause of this process many are due at once: let the first ones begin

    async def _operate(self, tally: Tally, number: int, ledger: TextIO | None) -> None:
        loop = asyncio.get_running_loop()
        due = self._origin + tally.due(number)
        deadline = due + self.plan.deadline_seconds
        if loop.time() >= deadline:
            tally.miss(number)
            return
        try:
            async with (
                asyncio.timeout_at(deadline),
                self._pool.connection(wait_seconds=self.plan.deadline_seconds) as connection,
            ):
                if tally.kind is LoadKind.WRITE:
                    await connection.write(self.run_id, number)
                else:
                    await connection.read(self.run_id)
        except self._failures as error:
            reason = "no answer by the deadline" if isinstance(error, TimeoutError) else self._driver.reason(error)
            tally.fail(number, reason)
        else:
            tally.succeed(number, loop.time() - due)
            reason = ""
        if ledger is not None and tally.kind is LoadKind.WRITE:
            _write_line(ledger, {"sequence": number, "acknowledged": not reason, "reason": reason or None})


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _open_ledger(path: Path) -> TextIO:
    try:
        return path.open("x", encoding="utf-8", buffering=1)  # a line at a time
    except OSError as error:
        raise LabError(f"the ledger {path} cannot be made: {error.strerror}", hint="name another file") from error


def _write_line(ledger: TextIO, line: dict[str, object]) -> None:
    try:
        ledger.write(json.dumps(line) + "\n")
    except OSError as error:
        raise LabError(f"the ledger {ledger.name} cannot be written: {error.strerror}") from error
