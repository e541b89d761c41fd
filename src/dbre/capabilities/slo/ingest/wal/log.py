"""The log itself: group commit of whatever waits, rotation, and what becomes of a disk that fails."""

import asyncio
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import structlog

from dbre.capabilities.slo.ingest.wal.disk import SegmentFile, free_bytes, lock, segments, sync_directory
from dbre.capabilities.slo.ingest.wal.errors import LogFailed
from dbre.capabilities.slo.ingest.wal.frames import EPOCH_BYTES, frame
from dbre.capabilities.slo.ingest.wal.recovery import Recovery

__all__ = ["Entry", "WriteAheadLog"]

SEGMENT_BYTES = 64 * 2**20
_GROUP_BYTES = 8 * 2**20  # in one write: what comes later waits for the next one
_RETRY_SECONDS = 1.0  # after a write that failed; until then nothing is tried, everybody is told

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Entry:
    """A record on its way to the disk; ``number`` is given when it is written."""

    payload: bytes
    content: object  # what the payload says, for ``on_durable``
    ended: "asyncio.Future[int]"
    number: int = 0


class WriteAheadLog:
    """Records in the order in which they were handed in; ``append`` returns when a record is on the disk.

    All that wait share one ``fdatasync``. A write that fails is never tried again in the same file, of which nobody knows
    what it holds: those who waited are told, and a new segment takes the same numbers.
    """

    def __init__(
        self,
        directory: Path,
        *,
        on_durable: Callable[[Sequence[Entry]], None],
        on_failed: Callable[[Sequence[Entry]], None],
        first_payload: Callable[[], bytes],
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.directory = directory
        self._on_durable = on_durable
        self._on_failed = on_failed
        self._first_payload = first_payload  # what each segment begins with, so that older ones can be deleted
        self._segment_bytes = segment_bytes
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest-log")
        self._lock: int | None = None
        self._file: SegmentFile | None = None
        self._queue: list[Entry] = []
        self._writing: asyncio.Task[None] | None = None
        self._next = 1
        self._retry_at = 0.0
        self.epoch = b""
        self.queued_bytes = 0
        self.written_bytes = 0
        self.syncs = 0
        self.failure: str | None = None  # why the last write failed; None: it did not

    def open(self) -> Recovery:
        """Take the directory; the answer goes through what is there. Blocks. Raises: LogTaken, LogFailed."""
        try:
            if self._lock is None:
                self._lock = lock(self.directory)
        except OSError as error:
            raise LogFailed(f"ingest log {self.directory} cannot be opened: {error.strerror}") from error
        return Recovery(self.directory)

    def begin(self, *, epoch: bytes | None, last: int) -> None:
        """Go on behind the record ``last``; without an epoch, what was written before belongs to another log."""
        self.epoch = epoch or secrets.token_bytes(EPOCH_BYTES)
        self._next = last + 1

    @property
    def last(self) -> int:
        """The number of the newest durable record."""
        return self._next - 1

    async def append(self, payload: bytes, content: object) -> int:
        """Write a record; returns its number when it is durable. Raises: LogFailed.

        It is written, and counted, also where the caller is cancelled meanwhile.
        """
        loop = asyncio.get_running_loop()
        if self.failure is not None and loop.time() < self._retry_at:
            raise self._failed()
        entry = Entry(payload, content, loop.create_future())
        self._queue.append(entry)
        self.queued_bytes += len(payload)
        if self._writing is None:
            self._writing = loop.create_task(self._write_all())
        return await asyncio.shield(entry.ended)

    async def _write_all(self) -> None:
        try:
            while self._queue:
                await self._write_group(self._take_group())
        finally:
            self._writing = None

    def _take_group(self) -> list[Entry]:
        size = count = 0
        for one in self._queue:
            size += len(one.payload)
            count += 1
            if size >= _GROUP_BYTES:
                break
        group, self._queue = self._queue[:count], self._queue[count:]
        return group

    async def _write_group(self, group: list[Entry]) -> None:
        loop = asyncio.get_running_loop()
        beginning = self._first_payload() if self._needs_segment() else None
        try:
            await loop.run_in_executor(self._disk, self._write, group, beginning)
        except OSError as error:
            self._give_up(error)
            self._retry_at = loop.time() + _RETRY_SECONDS
            self._on_failed(group)
            for one in group:
                self._end(one, self._failed())
        else:
            self.failure = None
            try:
                self._on_durable(group)
            finally:  # whatever it does: nobody waits for an answer that never comes
                for one in group:
                    self._end(one, None)

    def _needs_segment(self) -> bool:
        return self._file is None or self._file.size >= self._segment_bytes

    def _write(self, group: Sequence[Entry], beginning: bytes | None) -> None:
        """In the thread of the disk: nothing else touches file and numbers meanwhile."""
        number = self._next
        if beginning is not None:
            self._rotate()
            assert self._file is not None  # noqa: S101 - just made
            self._file.write(frame(number, beginning))
            number += 1
        frames = []
        for one in group:
            one.number = number
            frames.append(frame(number, one.payload))
            number += 1
        assert self._file is not None  # noqa: S101 - there is one, or ``beginning``
        data = b"".join(frames)
        self._file.write(data)
        self.written_bytes += len(data)
        self.syncs += 1
        self._next = number

    def _rotate(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
        self._file = SegmentFile(self.directory, epoch=self.epoch, first=self._next)

    def _give_up(self, error: OSError) -> None:
        self.failure = error.strerror or str(error)
        _log.error("ingest_log_failed", directory=str(self.directory), error=self.failure)
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as second:
                _log.warning("ingest_segment_not_closed", path=str(file.path), error=second.strerror)

    def _end(self, entry: Entry, error: LogFailed | None) -> None:
        self.queued_bytes -= len(entry.payload)
        if entry.ended.cancelled():
            return
        if error is None:
            entry.ended.set_result(entry.number)
        else:
            entry.ended.set_exception(error)
            entry.ended.exception()  # the caller may be gone: then nobody asks

    def _failed(self) -> LogFailed:
        return LogFailed(f"ingest log {self.directory} cannot be written: {self.failure}", hint="dbre ingest status; df -h")

    async def trim(self, known: int) -> int:
        """Delete segments of which the store has every record up to ``known``; how many. Raises: OSError."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, self._trim, known)

    def _trim(self, known: int) -> int:
        paths = segments(self.directory)
        old = [path for path, following in pairwise(paths) if int(following.stem) <= known + 1]
        for path in old:
            path.unlink()
        if old:
            sync_directory(self.directory)
        return len(old)

    def segments(self) -> Iterator[Path]:
        """The files of the log."""
        return iter(segments(self.directory))

    def free_bytes(self) -> int:
        """How much the disk still takes. Raises: OSError."""
        return free_bytes(self.directory)

    async def close(self) -> None:
        """Write what waits, close the file and let the directory go."""
        if self._writing is not None:
            await self._writing
        self._disk.shutdown(wait=True)
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
