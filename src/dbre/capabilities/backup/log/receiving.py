"""The receiver of one cluster's log: runs while there is room, gives way to another one, and tells what it cannot get."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from dbre.capabilities.backup.log.known_gaps import KnownGaps
from dbre.capabilities.backup.log.news import LogNews
from dbre.capabilities.backup.log.origin import LogOrigin, receiver_name
from dbre.capabilities.backup.log.places import SET_ASIDE
from dbre.core.clock import Clock
from dbre.core.errors import Conflict, DbreError
from dbre.core.ids import uuid7
from dbre.core.programs.account import Account, give
from dbre.core.units import format_bytes
from dbre.ports.backup.engine import LogReceiver, ReceiveOrder
from dbre.ports.backup.errors import LogGap
from dbre.ports.backup.model import LogPosition

__all__ = ["Receiving"]

_LOOK_SECONDS = 2.0
_BUSY_SECONDS = 5.0
_ROOM_SEGMENTS = 8
_ROOM_BYTES = 128 * 2**20  # where log files have no fixed size


class Receiving:
    """Runs one receiver after the other until cancelled, or until the server no longer answers."""

    def __init__(
        self,
        origin: LogOrigin,
        spool: Path,
        *,
        account: Account,
        is_synchronous: bool,
        clock: Clock,
        news: LogNews,
        gaps: KnownGaps,
    ) -> None:
        self._origin = origin
        self._spool = spool
        self._account = account
        self._is_synchronous = is_synchronous
        self._clock = clock
        self._news = news
        self._gaps = gaps
        self._receiver: LogReceiver | None = None
        self._work: asyncio.Task[None] | None = None
        self._is_given_up = False
        self._is_waiting = False
        self.name = receiver_name(origin.cluster.name)

    def flushed(self) -> LogPosition | None:
        """Up to where the spool is durable; None: nothing is received now, or nothing came yet."""
        return self._receiver.flushed() if self._receiver is not None else None

    @property
    def is_settled(self) -> bool:
        """Whether log comes in, or it was told why not: for want of room, or because another one receives it."""
        return self._is_waiting or self.flushed() is not None

    async def run(self) -> None:
        """Receive. Raises: Unreachable, Denied, Conflict, ProgramFailed: whoever calls looks for the server again."""
        while True:
            if not self._is_given_up and await self._is_free() and await self._has_room():
                self._is_waiting = False
                try:
                    await self._receive()
                except LogGap as error:
                    await self._begin_anew(error.message)
            else:
                self._is_waiting = True
                await self._clock.sleep(_BUSY_SECONDS)

    async def give_up(self, reason: str) -> None:
        """Let the server go on without us: a gap. ``run`` begins another receiver, where the log is then."""
        self._is_given_up = True
        try:
            if self._work is not None:
                self._work.cancel()
                await asyncio.wait({self._work})
            await self._begin_anew(reason)
        finally:
            self._is_given_up = False

    async def _is_free(self) -> bool:
        source = self._origin.source
        backlog = await source.backlog(self.name) if source is not None else None
        if backlog is None or not backlog.is_active:
            await self._news.well("backup.log_received_by_another")
            return True
        error = Conflict(
            f"the log of {self._origin.cluster.name} is already received as {self.name} by {backlog.active_by}",
            hint="one control plane receives the log of a cluster: stop the other one, or leave it to it",
        )
        await self._news.trouble("backup.log_received_by_another", error)
        return False

    async def _has_room(self) -> bool:
        free, wanted = await asyncio.to_thread(_free_bytes, self._spool), self._wanted_bytes()
        if free >= wanted:
            await self._news.well("backup.spool_full")
            return True
        error = SpoolFull(
            f"{format_bytes(free)} are free where {self._spool} lies; receiving stops below {format_bytes(wanted)}",
            hint="make room, or see why the vaults take nothing: dbre backup log status",
        )
        await self._news.trouble("backup.spool_full", error)
        return False

    def _wanted_bytes(self) -> int:
        segment = self._origin.segment_bytes
        return _ROOM_SEGMENTS * segment if segment is not None else _ROOM_BYTES

    async def _receive(self) -> None:
        order = ReceiveOrder(spool=self._spool, name=self.name, is_synchronous=self._is_synchronous)
        self._receiver = self._origin.port.receiver(self._origin.access, order)
        self._work = asyncio.ensure_future(self._receiver.run())
        try:
            while not self._work.done():
                await asyncio.wait({self._work}, timeout=_LOOK_SECONDS)
                if not self._work.done() and not await self._has_room():
                    self._work.cancel()
                    await asyncio.wait({self._work})
        finally:
            self._work.cancel()
            await asyncio.wait({self._work})
            work, self._work, self._receiver = self._work, None, None
        if not work.cancelled():
            work.result()

    async def _begin_anew(self, reason: str) -> None:
        """What the server no longer has cannot be received: note the gap, and go on from where it is now."""
        origin, source = self._origin, self._origin.source
        begin = await self._begin_of_gap()
        if source is not None:
            with suppress(DbreError):  # the slot may be gone, or of no use: the receiver makes its own
                await source.release(self.name)
        await asyncio.to_thread(self._set_aside)
        await self._gaps.open(system_id=origin.system_id, timeline=origin.timeline, start=begin, end=None, reason=reason)

    async def _begin_of_gap(self) -> int:
        """Where what was received ends; a server that was promoted or restored before that has nothing behind its own end."""
        begin = await asyncio.to_thread(self._end_of_spool)
        if begin is None:
            return 0
        with suppress(DbreError):  # then it is told from where on nothing was received
            begin = min(begin, (await self._origin.port.position(self._origin.access)).value)
        return begin

    def _end_of_spool(self) -> int | None:
        ends = [
            file.end
            for path in self._spool.iterdir()
            if (file := self._origin.port.log_file(path.name, size=0, sha256="", segment_bytes=self._origin.segment_bytes))
            and not path.name.endswith(".partial")
        ]
        return max(ends, default=None)

    def _set_aside(self) -> None:
        # the unfinished file would make the next receiver ask for what the server does not have; it may still save a day
        aside = self._spool / f"{SET_ASIDE}{uuid7(self._clock)}"
        for path in [one for one in self._spool.iterdir() if not one.name.startswith(".")]:
            aside.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):  # stored and let go meanwhile: then the gap must be written down all the same
                path.rename(aside / path.name)
        if aside.is_dir():
            give(aside, self._account)


class SpoolFull(DbreError):
    """The disk of the spool has no room for more log."""

    code = "backup.spool_full"


def _free_bytes(directory: Path) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize
