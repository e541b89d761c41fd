"""One fault in a process of its own: the inverse on disk, the act, the proof, the lease, the way back, the proof."""

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from dbre.capabilities.chaos.injection.catalogue import fault_kind
from dbre.capabilities.chaos.injection.lease import RENEWAL_SECONDS, Lease, standard_input
from dbre.capabilities.chaos.injection.model import Fault, InjectionFailed, Phase, Sighting
from dbre.capabilities.chaos.injection.order import Order
from dbre.capabilities.chaos.injection.record import Record, boot_id
from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.text import one_line
from dbre.lab.processes import start_ticks
from dbre.ports.engine import EngineRegistry

__all__ = ["hold", "take_back"]

_STARTING_SECONDS = 60.0  # until it is on
_SHOW_SECONDS = 10.0  # until a fault that was begun can be seen
_POLL_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 5.0
_TRY_SECONDS = 30.0  # of one attempt to take it back
_LETTING_GO_SECONDS = 5.0  # of work that was given up
_ATTEMPTS = 5  # before it is asked whether the fault is still anybody's affair
_OUTPUT = 1


async def hold(engines: EngineRegistry, clock: Clock) -> int:
    """Be an injector: read an order, hold the fault, take it back. Gives the exit status."""
    stream = await standard_input()
    os.set_blocking(_OUTPUT, False)  # a runner that is stopped reads nothing: it must not stop us too
    threads = _Threads()
    order = Order.read(await stream.readline())
    lease = Lease(seconds=_STARTING_SECONDS)
    lease.watch(stream)
    try:
        fault = fault_kind(order.fault).make(order.scene(engines))
        inverse = await _while_held(fault.prepare(), lease)
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing was begun, and the runner is told
        _say(state="failed", detail=_told(error), hint=_hint(error), is_refusal=isinstance(error, DbreError) and not lease.over)
        return 1
    return await _Holding(order, fault, lease, clock, inverse, threads).run()


class _Threads:
    """Where blocking work is done. A thread goes on although the one who waited for it was told to give up."""

    def __init__(self) -> None:
        self._pool = self._new()

    def leave(self) -> "asyncio.Future[None]":
        """Begin with new ones; gives when the last of the old ones has done its work."""
        old, self._pool = self._pool, self._new()
        return asyncio.get_running_loop().run_in_executor(self._pool, old.shutdown)

    @staticmethod
    def _new() -> ThreadPoolExecutor:
        found = ThreadPoolExecutor(thread_name_prefix="dbre-fault")
        asyncio.get_running_loop().set_default_executor(found)
        return found


class _Holding:
    """A fault that was prepared, until it is gone."""

    def __init__(
        self, order: Order, fault: Fault, lease: Lease, clock: Clock, inverse: Mapping[str, Any], threads: _Threads
    ) -> None:
        self._order, self._fault, self._lease, self._threads = order, fault, lease, threads
        self._directory, self._clock = Path(order.directory), clock
        pid = os.getpid()
        self._record = Record(
            id=order.id,
            operation=order.operation,
            fault=order.fault,
            cluster=order.cluster,
            instance=order.instance,
            parameters=order.parameters,
            inverse=inverse,
            phase=Phase.ARMED,
            pid=pid,
            start_ticks=start_ticks(pid) or 0,
            boot=boot_id(),
            until=(clock.now() + timedelta(seconds=_STARTING_SECONDS + order.seconds)).isoformat(),
        )

    async def run(self) -> int:
        """Do it, hold it, take it back."""
        self._record.write(self._directory)  # before anything is done
        ticking = asyncio.create_task(_tick())
        try:
            return await self._through()
        finally:
            ticking.cancel()

    async def _through(self) -> int:
        failure: str | None = None
        hint: str | None = None
        try:
            await self._begin()
            await self._tend()
            why = await self._lease.ended()
        except Exception as error:  # noqa: BLE001 - whatever it is, the fault goes
            failure = why = _told(error)
            hint = _hint(error)
        if not await self._end(why):
            return 1
        if failure is not None:
            self._keep(Phase.FAILED, detail=failure, why=why)
            _say(state="failed", detail=failure, hint=hint)
            return 1
        _say(state="reverted", detail=self._record.detail, why=why)
        return 0

    async def _begin(self) -> None:
        inverse = await _while_held(self._fault.begin(self._record.inverse), self._lease)
        self._record = self._record.at(Phase.ARMED, inverse=inverse)
        self._record.write(self._directory)
        sighting = await _while_held(self._until_seen(), self._lease)
        self._lease.restart(seconds=self._order.seconds)
        until = self._clock.now() + timedelta(seconds=self._order.seconds)
        self._keep(Phase.ON, detail=sighting.detail, until=until.isoformat())
        _say(state="on", detail=sighting.detail)

    async def _until_seen(self) -> Sighting:
        sighting: Sighting | None = None
        try:
            async with asyncio.timeout(_SHOW_SECONDS):
                while not (sighting := await self._fault.look(self._record.inverse)).is_on:  # noqa: ASYNC110 - the server's doing
                    await asyncio.sleep(_POLL_SECONDS)
                return sighting
        except TimeoutError as error:
            seen = f": {sighting.detail}" if sighting is not None else ""
            raise InjectionFailed(
                f"{self._order.fault} was begun and cannot be seen after {_SHOW_SECONDS:.0f} s{seen}"
            ) from error

    async def _tend(self) -> None:
        while self._lease.over is None:
            await _as_long_as(self._lease, self._fault.tend(self._record.inverse))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEWAL_SECONDS):
                    await self._lease.ended()

    async def _end(self, why: str) -> bool:
        """For ever, if need be: a fault that nobody takes back is worse than a process that tries.

        False where it tried in vain and somebody has deleted the state file meanwhile: whoever does that has undone by hand
        what it names, and nobody waits for us any more.
        """
        at_work = self._threads.leave()  # what was given up in the middle may still make what is taken back here
        pause, number = _POLL_SECONDS, 0
        while True:
            number += 1
            await asyncio.wait({at_work}, timeout=_POLL_SECONDS)
            is_last_word = at_work.done()
            sighting = await self._attempt()
            if not sighting.is_on and is_last_word:
                self._keep(Phase.REVERTED, detail=sighting.detail, why=why)
                return True
            detail = sighting.detail if sighting.is_on else "what was begun of it is still at work"
            _say(state="stuck", detail=detail, attempts=number)
            if number >= _ATTEMPTS and not self._record.path(self._directory).exists():
                _say(state="left", detail=detail)
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _attempt(self) -> Sighting:
        try:
            async with asyncio.timeout(_TRY_SECONDS):
                return await take_back(self._fault, self._record.inverse)
        except Exception as error:  # noqa: BLE001 - tried again
            return Sighting(True, _told(error))

    def _keep(self, phase: Phase, **changes: Any) -> None:
        self._record = self._record.at(phase, **changes)
        with contextlib.suppress(OSError):  # a full disk must not keep a fault on: what is armed is looked at again
            self._record.write(self._directory)


async def _tick() -> None:
    """Let the runner hear that we are not stopped."""
    while True:
        _say(state="alive")
        await asyncio.sleep(RENEWAL_SECONDS)


async def take_back(fault: Fault, inverse: Mapping[str, Any]) -> Sighting:
    """Undo a fault, and look."""
    await fault.end(inverse)
    return await fault.look(inverse)


async def _while_held(work: Awaitable[Any], lease: Lease) -> Any:
    """Do ``work`` as long as the lease lives. Raises: InjectionFailed once it has ended."""
    doing = await _as_long_as(lease, work)
    if not doing.done() or doing.cancelled():
        raise InjectionFailed(f"given up before it was on: {lease.over}")
    return doing.result()


async def _as_long_as(lease: Lease, work: Awaitable[Any]) -> "asyncio.Future[Any]":
    """Do ``work`` until it is done or the lease has ended. Raises: what the work raised by itself."""
    doing, ending = asyncio.ensure_future(work), asyncio.ensure_future(lease.ended())
    try:
        await asyncio.wait({doing, ending}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
        return doing
    finally:
        for task in (doing, ending):
            task.cancel()
        await asyncio.wait({doing, ending}, timeout=_LETTING_GO_SECONDS)  # a fault never waits for what will not let go


def _told(error: BaseException) -> str:
    return error.message if isinstance(error, DbreError) else one_line(f"{type(error).__name__}: {error}")


def _hint(error: BaseException) -> str | None:
    return error.hint if isinstance(error, DbreError) else None


def _say(**what: Any) -> None:
    with contextlib.suppress(OSError):  # the runner is gone or does not read: the state file says it
        os.write(_OUTPUT, json.dumps(what).encode() + b"\n")
