"""Claims operations and walks them: the one place where durable operations happen."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.fleet import Fleet
from dbre.core.gates.asking import Gates
from dbre.core.gates.model import Moment
from dbre.core.operation import tables
from dbre.core.operation.children import Children
from dbre.core.operation.claim import Claim, Claimed, Seen
from dbre.core.operation.control_watch import ControlWatch
from dbre.core.operation.definition import OperationRegistry
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.gate_keeping import Asked, GateKeeping
from dbre.core.operation.hand import Hand
from dbre.core.operation.hooks import JournalHooks, NoHooks
from dbre.core.operation.journal import Journal
from dbre.core.operation.lease import HeldLease, LeaseClock
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.position import Position
from dbre.core.operation.reading import load
from dbre.core.operation.states import OperationState
from dbre.core.operation.waiting import WAITING
from dbre.core.operation.walk import Walk, WalkLimits
from dbre.core.operation.worker_identity import WorkerIdentity
from dbre.core.retry import RetryPolicy
from dbre.core.store import Store
from dbre.core.store.errors import ConstraintViolated, ControlPlaneLockLost

__all__ = ["OperationRunner"]

_GATES_AT_ONCE = 4  # operations that ask at the same moment; each asks all its gates
_AGAIN = RetryPolicy(first_seconds=0.2, longest_seconds=2.0)
_FAREWELL_SECONDS = 5.0
_log = structlog.get_logger(__name__)


class OperationRunner:
    """Runs operations in this process; any number at once. Any number of runners may share a store."""

    def __init__(
        self,
        store: Store,
        registry: OperationRegistry,
        journal: Journal,
        gates: Gates,
        clock: Clock,
        *,
        worker: WorkerIdentity,
        fleet: Fleet,
        settings: OperationsDocument | None = None,
        leases: LeaseClock | None = None,
        hooks: JournalHooks | None = None,
        limits: WalkLimits | None = None,
    ) -> None:
        self._settings = settings or OperationsDocument()
        self.leases = leases or LeaseClock(store)
        """The clock of the leases, which a sweeper needs too."""
        self.worker = worker
        self._store = store
        self._registry = registry
        self._journal = journal
        self._clock = clock
        self._hooks = hooks or NoHooks()
        self._limits = limits or WalkLimits()
        self._keeping = GateKeeping(gates, fleet, clock)
        self._watch = ControlWatch(store, clock)
        self._places = asyncio.Semaphore(_GATES_AT_ONCE)
        self._claim = Claim(
            store=store,
            registry=registry,
            journal=journal,
            leases=self.leases,
            clock=clock,
            worker=worker,
            lease_seconds=self._settings.lease.total_seconds(),
        )

    async def run(self, operation_id: UUID) -> OperationRecord | None:
        """Claim it and walk it to a final state, a pause or ``needs_operator``; gives it as it is then, with its journal.

        None: somebody else has it, or it is not to be run now. Cancelled: the step that runs is cancelled too, nothing is
        undone, and the next worker need not wait for the end of the lease.

        Raises: LeaseLost where another worker has it meanwhile, or may have it; a StoreError.
        """
        if not await self.drive(operation_id):
            return None
        async with self._store.read() as connection:
            return await load(connection, operation_id)

    async def drive(self, operation_id: UUID) -> bool:
        """``run`` without reading it back; whether it was this one that ran it."""
        seen = await self._claim.look(operation_id)
        if seen is None:
            return False
        asked = await self._ask(seen.record, seen.parent_ids)
        lease = HeldLease(operation_id, self.leases, seconds=self._settings.lease.total_seconds())
        claimed = await self._take(seen, asked, lease)
        if claimed is None:
            return False
        if claimed.is_set_back:
            return await self.drive(operation_id)
        if claimed.definition is not None and claimed.todo is not None:
            await self._walk(claimed, lease)
        return True

    async def _ask(self, record: OperationRecord, parent_ids: tuple[UUID, ...]) -> Asked | None:
        """What gates say of the step that would begin now; None where none would, or where the only way is forward."""
        position = Position.of(record)
        if position.is_past_return or not self._keeping.has_any(record):
            return None
        todo = position.first_to_do()
        if record.state not in WAITING and (record.state is not OperationState.RUNNING or todo is None or todo.is_unknown):
            return None
        step = position.steps[todo.seq].name if todo is not None else None
        moment = Moment.BOUNDARY if position.is_begun else Moment.START
        async with self._places:
            return await self._keeping.ask(record, moment, step, parent_ids=parent_ids)

    async def _take(self, seen: Seen, asked: Asked | None, lease: HeldLease) -> Claimed | None:
        """Claim in one transaction; where the answer to its commit is lost, find out whether it was made."""
        tries: dict[UUID, Claimed | None] = {}

        async def write(connection: AsyncConnection) -> Claimed | None:
            wanted = select(tables.operation.c.journal_mark).where(tables.operation.c.id == seen.record.id)
            if tries and (mark := (await connection.execute(wanted)).scalar()) in tries:
                return tries[mark]
            new = uuid4()
            tries[new] = await self._claim.take(connection, seen, asked, new)
            return tries[new]

        for number in range(1, 1_000):
            await self._hooks.before("claim")
            try:
                claimed = await self._store.grouped(write)
            except (ControlPlaneLockLost, ConstraintViolated):
                raise
            except StoreError:
                if lease.remaining_seconds <= 0:
                    raise
                await self._clock.sleep(_AGAIN.ceiling_seconds(number))
                continue
            await self._hooks.after("claim")
            return claimed
        raise AssertionError("a lease ends before a thousand tries")

    async def _walk(self, claimed: Claimed, lease: HeldLease) -> None:
        assert claimed.definition is not None  # noqa: S101 - the caller looked
        hand = Hand(
            claimed.pen,
            claimed.position,
            lease,
            claimed.definition,
            clock=self._clock,
            hooks=self._hooks,
            parent_ids=claimed.parent_ids,
        )
        hand.controls.take(claimed.flags, self._clock.now())  # known from the first moment on, not from the first look
        keeper = asyncio.create_task(hand.keep(renewal_seconds=self._settings.renewal.total_seconds()), name="lease-keeper")
        walk = Walk(hand, self._keeping, run_child=self._run_child, places=self._places, limits=self._limits)
        try:
            async with self._watch.follow(hand):
                await walk.run(claimed.todo)
        except asyncio.CancelledError:
            await self._let_go(hand)
            raise
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({keeper}, timeout=_FAREWELL_SECONDS)

    async def _let_go(self, hand: Hand) -> None:
        if hand.lease.remaining_seconds <= 0:
            return
        if hand.work is not None and not hand.work.done():  # nobody else may begin beside it
            _log.warning("lease_left_to_run_out", operation=str(hand.id), error="its step goes on though it was cancelled")
            return
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await hand.let_go()
        except (StoreError, TimeoutError) as error:
            _log.warning("lease_left_to_run_out", operation=str(hand.id), error=str(error))

    async def _run_child(self, hand: Hand, step: str, kind: str, asked: Mapping[str, Any], turn: int) -> OperationRecord:
        children = Children(self._store, self._registry, self._journal, self._clock, self.run)
        return await children.run(hand, step, kind, asked, turn=turn)
