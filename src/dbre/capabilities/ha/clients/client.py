"""One client in a process of its own: acts on a schedule or one after the other, each with what it was told.

An open loop begins an act when it is due, whether or not earlier ones have ended, and counts its latency from then on: a
closed loop alone would do next to nothing during an outage, and so hide how many suffered ("coordinated omission").
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass

from dbre.capabilities.ha.clients.acts import Acts
from dbre.capabilities.ha.clients.journal import Journal
from dbre.capabilities.ha.clients.order import ClientOrder
from dbre.capabilities.ha.clients.reach import Reach
from dbre.core.errors import DbreError
from dbre.core.pool import Pool
from dbre.core.text import one_line
from dbre.ports.client_work import ClientConnection, ClientWork, Fate, WorkFailed
from dbre.ports.engine import EngineRegistry

__all__ = ["live"]

_TICK_SECONDS = 0.25
_PAUSE_SECONDS = 0.01  # of a closed loop after a failure
_NANO = 1_000_000_000
_TOLD = 1  # standard output


async def live(engines: EngineRegistry) -> int:
    """Be a client: read an order, act until it is over or the pipe ends, and wait for what is under way. The exit status."""
    stream = asyncio.StreamReader()
    os.set_blocking(_TOLD, False)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), sys.stdin.buffer)
    order = ClientOrder.read(await stream.readline())
    try:
        client = _Client(order, engines)
    except DbreError as error:
        _say(state="failed", detail=error.message)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, client.stop)
    helpers = [asyncio.create_task(_end_with(stream, client)), asyncio.create_task(_tick(client))]
    _say(state="on")
    try:
        await client.run()
    except DbreError as error:
        _say(state="failed", detail=error.message)
        return 1
    finally:
        for one in helpers:
            one.cancel()
    client.say(state="ended")
    return 0


async def _end_with(stream: asyncio.StreamReader, client: "_Client") -> None:
    """Whatever comes through the pipe, and its end, is the end."""
    await stream.readline()
    client.stop()


async def _tick(client: "_Client") -> None:
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        client.say(state="acting")


def _say(**said: object) -> None:
    # Who started us is gone (the pipe that ends us tells it, too), or is stopped and reads no more: clients go on.
    with contextlib.suppress(BrokenPipeError, BlockingIOError):
        os.write(_TOLD, json.dumps(said).encode() + b"\n")


@dataclass(slots=True)
class _Counts:
    acked: int = 0
    failed: int = 0
    unknown: int = 0
    last_ack: int | None = None  # nanoseconds of the history
    last_node: str | None = None


class _Client:
    def __init__(self, order: ClientOrder, engines: EngineRegistry) -> None:
        self._order = order
        self._reach = Reach.to(engines, order.engine, order.accesses())
        self._journal = Journal(order.file, client=order.number, name=order.name, origin_ns=order.origin_ns)
        self._pool: Pool[ClientConnection] = Pool(self._reach.connect, limit=order.connections, name="the client's pool")
        self._acts = Acts(order.kind, run=order.run, client=order.number, rate=order.rate)
        self._stop = asyncio.Event()
        self._sequence = 0
        self._counts = _Counts()

    def stop(self) -> None:
        """Begin nothing any more."""
        self._stop.set()

    def say(self, *, state: str) -> None:
        """Tell how far it is."""
        now = self._counts
        _say(
            state=state,
            acked=now.acked,
            failed=now.failed,
            unknown=now.unknown,
            last_ack=now.last_ack,
            last_node=now.last_node,
        )

    async def run(self) -> None:
        """Act until the time is over."""
        try:
            async with asyncio.TaskGroup() as group:
                if self._order.is_open_loop:
                    await self._keep_schedule(group)
                else:
                    for _ in range(self._order.connections):
                        group.create_task(self._keep_going())
        except* DbreError as found:
            raise found.exceptions[0] from found
        finally:
            self._pool.close()
            self._reach.close()
            self._journal.close()

    async def _keep_schedule(self, group: asyncio.TaskGroup) -> None:
        interval = round(_NANO / self._order.rate)
        first = time.monotonic_ns()
        number = 0
        while not self._stop.is_set():
            due = first + number * interval
            if self._is_over(due - first) or await self._stopped_before(due):
                return
            group.create_task(self._act(due))
            number += 1
            if number % 64 == 0:
                await asyncio.sleep(0)  # after a pause of this process many are due at once: let the first ones begin

    async def _keep_going(self) -> None:
        """One after the other on one connection, but no faster than its share of the rate."""
        interval = round(_NANO * self._order.connections / self._order.rate)
        first = due = time.monotonic_ns()
        while not self._stop.is_set() and not self._is_over(due - first):
            if await self._stopped_before(due):
                return
            if not await self._act(time.monotonic_ns()):
                await asyncio.sleep(_PAUSE_SECONDS)
            due = max(due + interval, time.monotonic_ns())

    def _is_over(self, nanoseconds: int) -> bool:
        return self._order.seconds is not None and nanoseconds >= self._order.seconds * _NANO

    async def _stopped_before(self, due: int) -> bool:
        wait = (due - time.monotonic_ns()) / _NANO
        if wait <= 0:
            return self._stop.is_set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._stop.wait()
        return self._stop.is_set()

    async def _act(self, due: int) -> bool:
        """One act from its due moment to its end; whether it was acknowledged."""
        self._sequence += 1
        attempt = _Attempt(self._order, self._journal, self._acts.next(), self._sequence, due)
        is_acked = await attempt.make(self._pool)
        self._count(attempt)
        if is_acked:
            self._acts.learn(attempt.f, attempt.value)
        return is_acked

    def _count(self, attempt: "_Attempt") -> None:
        match attempt.kind:
            case "ok":
                self._counts.acked += 1
                self._counts.last_ack = time.monotonic_ns() - self._order.origin_ns
                self._counts.last_node = attempt.node
            case "fail":
                self._counts.failed += 1
            case _:
                self._counts.unknown += 1


class _Attempt:
    """One act on its way."""

    def __init__(self, order: ClientOrder, journal: Journal, act: tuple[str, object], sequence: int, due: int) -> None:
        self._order = order
        self._journal = journal
        self.f, self.value = act
        self._sequence, self._due = sequence, due
        self._process: int | None = None
        self._connection: ClientConnection | None = None
        self.kind = "fail"
        self.node: str | None = None

    async def make(self, pool: Pool[ClientConnection]) -> bool:
        """Do it by its deadline, and write down how it went."""
        left = (self._due - time.monotonic_ns()) / _NANO + self._order.deadline_seconds
        if left <= 0:
            self._end("fail", "the client itself came too late to try", missed=True)
            return False
        try:
            # Who waits in line to the end uses a connection up with no time left for an answer, and the next one finds none:
            # behind its schedule once, no client would ever come back.
            async with asyncio.timeout(left), pool.connection(wait_seconds=left / 2) as connection:
                await self._do(connection)
        except WorkFailed as error:
            kind = "fail" if error.fate is Fate.FAILED else "info"
            self._end(kind, error.reason, answered=error.is_answer or None)
        except TimeoutError:
            is_sent = self._connection is not None and self._connection.is_sent
            self._end(
                "info" if is_sent else "fail", "no answer by the deadline" if is_sent else "no connection by the deadline"
            )
        except DbreError as error:  # no connection: nothing was sent
            self._end("fail", error.message)
        return self.kind == "ok"

    async def _do(self, connection: ClientConnection) -> None:
        order, self._connection, self.node = self._order, connection, connection.node
        work = ClientWork(run=order.run, workload=order.kind, f=self.f, value=self.value, isolation=order.isolation)
        self._process = self._journal.begin(self.f, self.value, sequence=self._sequence, due_ns=self._due)
        reply = await connection.do(work)
        self.value, self.node = reply.value, reply.node
        self._end("ok", None, position=reply.position)

    def _end(self, kind: str, reason: str | None, **more: object) -> None:
        if self._process is None:  # it was never sent: call and answer are written down together
            self._process = self._journal.begin(self.f, self.value, sequence=self._sequence, due_ns=self._due)
            more["unsent"] = True
        self.kind = kind
        error = one_line(reason) if reason is not None else None
        self._journal.end(kind, self._process, self.f, self.value, sequence=self._sequence, node=self.node, error=error, **more)
