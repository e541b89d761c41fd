"""A worker process: registers, finds or is told what is due, runs it, and ends in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.operation.broker_document import BrokerDocument
from dbre.core.operation.celery_extra import needs_celery
from dbre.core.operation.dispatch import Runs
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.due import LeaseTime
from dbre.core.operation.local_dispatch import LocalDispatcher
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.sweeper import Sweeper
from dbre.core.operation.worker_identity import WorkerIdentity
from dbre.core.operation.workers import WorkerRegistration
from dbre.core.secrets import Secret, prepare_secrets
from dbre.core.store import Store

__all__ = ["WorkerParts", "run_worker", "worker_parts"]

_FAREWELL_SECONDS = 5.0
_DETACHED = 8  # operations that outlasted their message, for each place
_log = structlog.get_logger(__name__)

Jobs = Mapping[str, Callable[[], Awaitable[None]]]
"""By name; each runs until it is cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What a worker is made of; ``app`` builds it."""

    store: Store
    runner: Runs
    identity: WorkerIdentity
    clock: Clock
    leases: LeaseTime
    concurrency: int = 8
    lease: timedelta = timedelta(seconds=30)
    grace: timedelta = timedelta(seconds=30)  # for what runs when told to stop
    broker: BrokerDocument | None = None  # None: look into the store only
    broker_password: Secret | None = None
    chores: Jobs = field(default_factory=dict)  # what else runs as long as the worker takes operations


async def worker_parts(
    store: Store,
    runner: OperationRunner,
    settings: OperationsDocument,
    clock: Clock,
    *,
    concurrency: int | None = None,
    chores: Jobs | None = None,
) -> WorkerParts:
    """The parts of a worker as the configuration wants them. Raises: SecretUnavailable for the broker's password."""
    broker = settings.carried_by
    password = None if broker is None or broker.password is None else broker.password.secret()
    await prepare_secrets([password])
    return WorkerParts(
        store=store,
        runner=runner,
        identity=runner.worker,
        clock=clock,
        leases=runner.leases,
        concurrency=concurrency or settings.concurrency,
        lease=settings.lease,
        grace=settings.grace,
        broker=broker,
        broker_password=password,
        chores=chores or {},
    )


async def run_worker(parts: WorkerParts, told: asyncio.Event) -> None:
    """Run operations of the worker's zone until ``told`` is set, then end in order.

    In order means: take nothing more, let what runs go on for the grace time, leave the rest to others without undoing it.

    Raises: Unsupported where a broker is configured and Celery is not installed; ControlPlaneLockLost, or whatever ended a
    part that should never end.
    """
    registration = WorkerRegistration(parts.store, parts.identity, parts.clock, parts.leases)
    await registration.register()
    _log.info("worker_started", worker=parts.identity.id, zone=parts.identity.zone, concurrency=parts.concurrency)
    try:
        async with _working(parts) as (local, jobs):
            everything = {**parts.chores, **jobs, "heartbeat": registration.run}
            tasks: list[asyncio.Future[None]] = [asyncio.ensure_future(work()) for work in everything.values()]
            try:
                await _until_told_or_broken(told, tasks)
            finally:
                for task in tasks[:-1]:  # the heartbeat goes on while the last operations end
                    task.cancel()
                await local.stop(grace_seconds=parts.grace.total_seconds())
                tasks[-1].cancel()
                await asyncio.wait(tasks, timeout=_FAREWELL_SECONDS)
    finally:
        await _leave(registration)
        _log.info("worker_stopped", worker=parts.identity.id)


@asynccontextmanager
async def _working(parts: WorkerParts) -> AsyncIterator[tuple[LocalDispatcher, Jobs]]:
    if parts.broker is None:
        local = LocalDispatcher(parts.runner, concurrency=parts.concurrency)
        sweeper = Sweeper(parts.store, local, parts.clock, parts.leases, zone=parts.identity.zone, again_after=parts.lease)
        local.when_room = sweeper.wake
        yield local, {"sweeper": sweeper.run}
        return
    with needs_celery():  # here: Celery is an extra, and costs a third of a second
        from dbre.core.operation.celery_dispatch.consumer import CeleryConsumer
        from dbre.core.operation.celery_dispatch.publisher import CeleryDispatcher

    local = LocalDispatcher(parts.runner, concurrency=_DETACHED * parts.concurrency)
    publisher = CeleryDispatcher(parts.broker, parts.broker_password, parts.clock)
    consumer = CeleryConsumer(
        parts.broker,
        parts.broker_password,
        parts.clock,
        local.run,
        zone=parts.identity.zone,
        name=parts.identity.id,
        concurrency=parts.concurrency,
    )
    sweeper = Sweeper(parts.store, publisher, parts.clock, parts.leases, again_after=parts.lease)
    try:
        yield local, {"sweeper": sweeper.run, "consumer": consumer.run}
    finally:
        consumer.stop_taking()
        await consumer.join()
        await publisher.close()


async def _until_told_or_broken(told: asyncio.Event, tasks: list[asyncio.Future[None]]) -> None:
    waiting = asyncio.ensure_future(told.wait())
    try:
        everything: list[asyncio.Future[Any]] = [waiting, *tasks]
        await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    for task in tasks:
        if task.done():
            task.result()


async def _leave(registration: WorkerRegistration) -> None:
    try:
        async with asyncio.timeout(_FAREWELL_SECONDS):
            await registration.leave()
    except (StoreError, TimeoutError) as error:
        _log.warning("worker_row_left", error=str(error), hint="it counts as gone after 30 s")
