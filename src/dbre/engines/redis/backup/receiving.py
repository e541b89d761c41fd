"""The append-only file of a server on this machine, followed as it is written.

What was read is appended to ``NAME.partial`` in the spool and made durable. The file is whole when the server writes into
the next one, which it begins with each rewrite. A file that is open stays readable after the server removed its name.
"""

import asyncio
import os
from pathlib import Path
from typing import BinaryIO

from dbre.core.errors import Conflict, Unsupported
from dbre.core.programs.account import give
from dbre.core.text import printable
from dbre.engines.redis.backup.aof import AofDamaged, whole_bytes
from dbre.engines.redis.backup.positions import IncrementName
from dbre.engines.redis.backup.source import Source, read_aof, read_source, require_log_end
from dbre.ports.backup.engine import ReceiveOrder
from dbre.ports.backup.errors import LogGap
from dbre.ports.backup.model import LogPosition, Place
from dbre.ports.engine import Access

__all__ = ["AofReceiver"]

_POLL_SECONDS = 0.2
_ASK_SECONDS = 10.0
_CHUNK_BYTES = 2**20
_COMPARED_BYTES = 2**16
_PARTIAL = ".partial"


class AofReceiver:
    """Implements ``ports.backup.engine.LogReceiver``."""

    def __init__(self, access: Access, order: ReceiveOrder, *, place: Place) -> None:
        self._access = access
        self._order = order
        self._place = place
        self._flushed: LogPosition | None = None

    def flushed(self) -> LogPosition | None:
        """Up to where whole commands are in the spool, durably."""
        return self._flushed

    async def run(self) -> None:
        """Follow until cancelled. Raises: Unreachable where the server does not answer; LogGap, Conflict, Unsupported."""
        source = await read_source(self._access)
        await asyncio.to_thread(require_log_end, source, self._access)
        name = await asyncio.to_thread(self._first, source)
        while True:
            path = source.aof_directory / name.text
            file = await asyncio.to_thread(self._open, path)
            with file:
                await self._follow(source, name, file)
            name = name.next

    def _first(self, source: Source) -> IncrementName:
        """Where the spool ends, or where the order says, or the newest file."""
        known = [
            (name, path.name.endswith(_PARTIAL))
            for path in self._order.spool.iterdir()
            if (name := IncrementName.parse(path.name.removesuffix(_PARTIAL))) is not None
        ]
        there = [name for one in read_aof(source).increments if (name := IncrementName.parse(one.name)) is not None]
        if not there:
            raise Unsupported("the server's append-only file has names that we do not know")
        if known:
            newest, is_partial = max(known, key=lambda one: (one[0].number, not one[1]))
            wanted = newest if is_partial else newest.next
        elif self._order.start is not None:
            wanted = IncrementName.parse(self._order.start.text.rpartition(":")[0]) or there[-1]
        else:
            return there[-1]
        if wanted.number == there[-1].number + 1:
            return there[-1] if not known else wanted
        return wanted

    def _open(self, path: Path) -> BinaryIO:
        try:
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0)
        except FileNotFoundError as error:
            raise LogGap(
                f"Redis at {self._access.address} no longer has {path.name}: it was rewritten while nobody received",
                hint="take a full copy",
                context={"wanted": path.name},
            ) from error
        except OSError as error:
            raise Unsupported(
                f"{printable(str(path), limit=200)} cannot be read: {error.strerror}",
                hint="run dbre on the server's machine, as the server's user",
            ) from error

    async def _follow(self, source: Source, name: IncrementName, file: BinaryIO) -> None:
        """Copy one file until the server writes into the next one."""
        partial = self._order.spool / (name.text + _PARTIAL)
        done = await asyncio.to_thread(self._resume, partial, file)
        end = 0
        waited = 0.0
        while True:
            # the order matters: what is written before the next file begins is read after we saw that it began
            is_last_look = await asyncio.to_thread(self._has_successor, source, name)
            grown = await asyncio.to_thread(_append, file, partial, done)
            if grown or not end:
                done += grown
                end = await asyncio.to_thread(self._whole, partial, end)
                self._flushed = name.at(end)
            if is_last_look:
                await asyncio.to_thread(self._seal, partial, name, done, end)
                return
            await asyncio.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
            if waited >= _ASK_SECONDS:  # a file says nothing of a server that is gone
                await read_source(self._access)
                waited = 0.0

    def _resume(self, partial: Path, file: BinaryIO) -> int:
        """How much of the file is in the spool; Raises: Conflict where it is another file."""
        if not partial.exists():
            with open(partial, "xb", opener=_private):
                pass
            give(partial, self._place.account)
            return 0
        mine = partial.stat().st_size
        theirs = os.fstat(file.fileno()).st_size
        size = min(mine, theirs)  # a server that starts cuts off a command that was not whole
        with partial.open("rb") as own:
            for start in {0, max(0, size - _COMPARED_BYTES)}:
                count = min(_COMPARED_BYTES, size - start)
                own.seek(start)
                if own.read(count) != os.pread(file.fileno(), count, start):
                    raise Conflict(
                        f"{partial.name} in the spool is not what Redis at {self._access.address} has under that name",
                        hint="the server was set up anew: take a full copy, and empty the spool",
                    )
        os.truncate(partial, size)
        return size

    def _has_successor(self, source: Source, name: IncrementName) -> bool:
        numbers = [found.number for one in read_aof(source).increments if (found := IncrementName.parse(one.name)) is not None]
        return bool(numbers) and max(numbers) > name.number

    def _whole(self, partial: Path, end: int) -> int:
        try:
            return whole_bytes(partial, start=end)
        except AofDamaged as error:
            raise Conflict(
                f"{partial.name} was received, and is damaged: {error}", hint="look at the server's own file"
            ) from error

    def _seal(self, partial: Path, name: IncrementName, done: int, end: int) -> None:
        if done != end:
            raise Conflict(f"{name.text} ends within a command, at {end} of {done} bytes, and the server goes on with the next")
        partial.replace(self._order.spool / name.text)
        descriptor = os.open(self._order.spool, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _append(file: BinaryIO, partial: Path, done: int) -> int:
    """Copy what is new; returns how much, after it is durable."""
    grown = 0
    with partial.open("r+b") as writer:
        writer.seek(done)
        while chunk := os.pread(file.fileno(), _CHUNK_BYTES, done + grown):
            writer.write(chunk)
            grown += len(chunk)
        if grown:
            writer.flush()
            os.fsync(writer.fileno())
    return grown
