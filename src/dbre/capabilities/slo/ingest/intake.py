"""Takes events in: durable when ``accept`` returns, counted exactly once, also over a crash."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from dbre.capabilities.slo.counting import CountedSlot, CountSink, SourceMark
from dbre.capabilities.slo.ingest.aggregation import Aggregate, LatencyPart, aggregate
from dbre.capabilities.slo.ingest.checking import Rejection, TimeLimits
from dbre.capabilities.slo.ingest.errors import BadBatch, IntakeUnavailable
from dbre.capabilities.slo.ingest.event_columns import EventColumns
from dbre.capabilities.slo.ingest.limits import IntakeLimits
from dbre.capabilities.slo.ingest.matching import Matcher, Target
from dbre.capabilities.slo.ingest.records import (
    BatchRecord,
    SnapshotRecord,
    batch_record,
    counted_of,
    decode,
    encode,
    latencies_of,
)
from dbre.capabilities.slo.ingest.sequences import Sequences
from dbre.capabilities.slo.ingest.wal.errors import LogFailed
from dbre.capabilities.slo.ingest.wal.log import Entry, WriteAheadLog
from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.text import printable

__all__ = ["SOURCE", "Acknowledgement", "Intake", "IntakeHealth", "LatencySink"]

SOURCE = "ingest/0"
"""The mark of the counts in the store: ``<epoch of the log>:<number of the record>``."""
_TICK_SECONDS = 1.0
_REOPEN_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class LatencySink(Protocol):
    """Who keeps the histograms; exactly once, by the same marks as the counts."""

    def take(self, parts: Sequence[LatencyPart], *, epoch: bytes, number: int) -> None:
        """Add them; does no I/O."""
        ...

    def stored_number(self, epoch: bytes) -> int:
        """Up to which record of that log the store has the histograms; 0: none."""
        ...

    async def start(self) -> None:
        """Load how far the store is. Raises: StoreError."""
        ...

    async def tick(self) -> None:
        """Bring what is due into the store. Raises: StoreError."""
        ...

    async def finish(self) -> None:
        """Bring everything into the store. Raises: StoreError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What a sender is told. ``accepted`` and ``rejected`` count rows; a batch that was known counts nothing again."""

    accepted: int
    rejected: int = 0
    unmatched: int = 0  # of the accepted: described by attributes that no SLO matches
    is_duplicate: bool = False
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeHealth:
    """How the intake does; numbers since it began."""

    is_ready: bool
    problem: str | None  # why nothing is taken in now, or what was found damaged
    events: int = 0
    rejected_events: int = 0
    unmatched_events: int = 0
    duplicate_batches: int = 0
    queued_bytes: int = 0
    damaged_bytes: int = 0
    replayed_batches: int = 0  # when it began


class Intake:
    """One log, one engine. ``run`` opens the log and keeps it short; until it has, batches are put off."""

    def __init__(
        self,
        directory: Path,
        *,
        matcher: Matcher,
        sink: CountSink,
        latencies: LatencySink,
        clock: Clock,
        limits: IntakeLimits | None = None,
    ) -> None:
        self.matcher = matcher
        self._sink = sink
        self._latencies = latencies
        self._clock = clock
        self._limits = limits or IntakeLimits()
        self._sequences = Sequences()
        self._pending: dict[tuple[str, int], asyncio.Future[int]] = {}
        self._ready = asyncio.Event()
        self._problem: str | None = "the log is not open yet"
        self._recovered = 0  # number of the newest record that was read when the log was opened
        self._replayed = self._events = self._rejected = self._unmatched = self._duplicates = self._damaged = 0
        self._log = WriteAheadLog(
            directory,
            on_durable=self._count,
            on_failed=self._forget,
            first_payload=lambda: encode(SnapshotRecord(self._sequences.snapshot())),
            segment_bytes=self._limits.segment_bytes,
        )

    async def accept(self, columns: EventColumns, *, producer: str, sequence: int | None) -> Acknowledgement:
        """Count a batch; returns when it is durable. A batch whose (producer, sequence) is known is not counted again.

        Without a sequence a batch that is sent twice counts twice.
        Raises: IntakeUnavailable (send it again later), BadBatch (never send it again).
        """
        self._check_open()
        if sequence is not None and self._is_known(producer, sequence):
            return await self._duplicate(producer, sequence)
        return await self.accept_counts(self.count(columns), producer=producer, sequence=sequence)

    def count(self, columns: EventColumns) -> Aggregate:
        """What a batch comes to; nothing is taken in yet. Raises: BadBatch."""
        try:
            return aggregate(columns, self.matcher, limits=self.time_limits())
        except ValueError as error:
            raise BadBatch(str(error)) from error

    async def accept_counts(self, found: Aggregate, *, producer: str, sequence: int | None) -> Acknowledgement:
        """The same for a batch that was counted before. Raises: IntakeUnavailable."""
        self._check_open()
        if sequence is not None and self._is_known(producer, sequence):
            return await self._duplicate(producer, sequence)
        if found.counted or found.latencies:
            await self._write(batch_record(producer, sequence, found), found)
        self._events += found.accepted
        self._rejected += found.rejected
        self._unmatched += found.unmatched
        return Acknowledgement(
            accepted=found.accepted,
            rejected=found.rejected,
            unmatched=found.unmatched,
            rejections=tuple(found.rejections),
        )

    def alive(self, names: Sequence[str]) -> Acknowledgement:
        """Producers of these SLOs live, though they have nothing to count: no traffic is then not lost telemetry."""
        rejections = []
        for row, name in enumerate(names):
            target = self.matcher.named(name)
            if isinstance(target, Target):
                self._sink.heard(target.slo, target.cluster)
            else:
                rejections.append(Rejection(row, target))
        accepted = len(names) - len(rejections)
        return Acknowledgement(accepted=accepted, rejected=len(rejections), rejections=tuple(rejections[:100]))

    def hear(self, counted: Sequence[CountedSlot]) -> None:
        """A producer whose events are all invalid lives: it has said so itself."""
        for one in counted:
            if not one.counts.total:
                self._sink.heard(one.slo, one.cluster)

    @property
    def health(self) -> IntakeHealth:
        """How it does."""
        damage = f"{self._damaged} bytes of the log were damaged: see its directory quarantine" if self._damaged else None
        failure = f"the log cannot be written: {self._log.failure}" if self._log.failure else None
        return IntakeHealth(
            is_ready=self._ready.is_set() and self._problem is None and failure is None,
            problem=self._problem or failure or damage,
            events=self._events,
            rejected_events=self._rejected,
            unmatched_events=self._unmatched,
            duplicate_batches=self._duplicates,
            queued_bytes=self._log.queued_bytes,
            damaged_bytes=self._damaged,
            replayed_batches=self._replayed,
        )

    async def wait_until_ready(self) -> None:
        """Return once batches are taken in."""
        await self._ready.wait()

    async def run(self) -> None:
        """Recover what the log holds, then take batches in until cancelled. Raises: LogTaken."""
        await self._sink.wait_until_started()
        try:
            await self._open()
            while True:
                await self._tick()
                await self._clock.sleep(_TICK_SECONDS)
        finally:
            self._ready.clear()
            self._problem = "the server is stopping"
            await self._log.close()
            await self._finish()

    # -- a batch

    def _check_open(self) -> None:
        if not self._ready.is_set():
            raise IntakeUnavailable(f"events are not taken in: {self._problem}", retry_after_seconds=2)
        if self._problem is not None:
            raise IntakeUnavailable(f"events are not taken in: {self._problem}", retry_after_seconds=30)
        if self._log.queued_bytes > self._limits.queued_bytes:
            raise IntakeUnavailable(
                f"{self._log.queued_bytes} bytes wait for the disk; the limit is {self._limits.queued_bytes}",
                hint="send fewer and larger batches",
            )

    def _is_known(self, producer: str, sequence: int) -> bool:
        return (producer, sequence) in self._pending or self._sequences.knows(producer, sequence)

    async def _duplicate(self, producer: str, sequence: int) -> Acknowledgement:
        """A batch is known when it is durable, not when it was seen: whoever sends it again waits with the first."""
        waiting = self._pending.get((producer, sequence))
        if waiting is not None:
            await self._durable(asyncio.shield(waiting))
        self._duplicates += 1
        return Acknowledgement(accepted=0, is_duplicate=True)

    async def _write(self, record: BatchRecord, found: Aggregate) -> None:
        written = asyncio.ensure_future(self._log.append(encode(record), (record, found)))
        if record.sequence is not None:
            key = record.producer, record.sequence
            self._pending[key] = written
            written.add_done_callback(lambda _: self._pending.pop(key, None))
        await self._durable(asyncio.shield(written))

    async def _durable(self, written: "asyncio.Future[int]") -> None:
        try:
            async with asyncio.timeout(self._limits.ack_seconds):
                await written
        except TimeoutError:
            raise IntakeUnavailable(f"the disk did not answer within {self._limits.ack_seconds:g} s") from None
        except LogFailed as error:
            raise IntakeUnavailable(error.message, retry_after_seconds=5, hint=error.hint) from error

    def time_limits(self) -> TimeLimits:
        """Between which moments events may have happened: as far back as windows reach."""
        now_ms = int(self._clock.now().timestamp() * 1000)
        longest_ms = self.matcher.longest_seconds * 1000
        return TimeLimits(oldest_ms=max(now_ms - longest_ms, 0), newest_ms=now_ms + self._limits.future_ms)

    # -- called by the log, in the order of the records

    def _count(self, entries: Sequence[Entry]) -> None:
        counted, parts = [], []
        for one in entries:
            assert isinstance(one.content, tuple)  # noqa: S101 - as handed in
            record, found = one.content
            if record.sequence is not None:
                self._sequences.add(record.producer, record.sequence)
            counted += found.counted
            parts += found.latencies
        number = entries[-1].number
        self._sink.take(counted, mark=SourceMark(SOURCE, f"{self._log.epoch.hex()}:{number}"))
        self.hear(counted)
        self._latencies.take(parts, epoch=self._log.epoch, number=number)

    def _forget(self, entries: Sequence[Entry]) -> None:
        _log.warning("ingest_batches_refused", batches=len(entries), reason=self._log.failure)

    # -- opening, and keeping the log short

    async def _open(self) -> None:
        while True:
            try:
                await self._latencies.start()
                await self._recover()
            except (LogFailed, StoreError, OSError, ValueError) as error:
                self._problem = f"the log cannot be read: {printable(str(error), limit=300)}"
                _log.error("ingest_not_opened", error=self._problem)
                await self._clock.sleep(_REOPEN_SECONDS)
            else:
                self._problem = None
                self._ready.set()
                return

    async def _recover(self) -> None:
        recovery = await asyncio.to_thread(self._log.open)
        marked_epoch, marked = self._stored_mark()
        segments = recovery.segments()
        while (frames := await asyncio.to_thread(next, segments, None)) is not None:
            found = recovery.epoch or marked_epoch or b""
            counted = marked if found == marked_epoch else 0
            for frame in frames:
                self._replay(decode(frame.payload), number=frame.number, epoch=found, counted=counted)
                self._recovered = frame.number
                if frame.number % 256 == 0:
                    await asyncio.sleep(0)
        self._damaged = recovery.damaged_bytes
        if recovery.damaged_files:
            _log.error("ingest_log_damaged", files=recovery.damaged_files, damaged_bytes=recovery.damaged_bytes)
        epoch = recovery.epoch or (marked_epoch if recovery.last else None)
        is_ours = epoch is not None and epoch == marked_epoch
        self._log.begin(epoch=epoch, last=max(recovery.last, marked if is_ours else 0))

    def _replay(self, record: SnapshotRecord | BatchRecord, *, number: int, epoch: bytes, counted: int) -> None:
        if number <= self._recovered:
            return  # an attempt to open the log came so far before it failed
        if isinstance(record, SnapshotRecord):
            self._sequences.adopt(record.streams)
            return
        if record.sequence is not None:
            if self._sequences.knows(record.producer, record.sequence):
                return
            self._sequences.add(record.producer, record.sequence)
        if number > counted:
            self._sink.take(counted_of(record), mark=SourceMark(SOURCE, f"{epoch.hex()}:{number}"))
            self._replayed += 1
        if number > self._latencies.stored_number(epoch):
            self._latencies.take(latencies_of(record), epoch=epoch, number=number)

    def _stored_mark(self) -> tuple[bytes | None, int]:
        epoch, _, number = (self._sink.stored_position(SOURCE) or "").partition(":")
        return (bytes.fromhex(epoch), int(number)) if number else (None, 0)

    async def _tick(self) -> None:
        try:
            free = await asyncio.to_thread(self._log.free_bytes)
            is_full = free < self._limits.free_bytes
            self._problem = f"{free} bytes are free on its disk; the limit is {self._limits.free_bytes}" if is_full else None
            await self._latencies.tick()
            epoch, number = self._stored_mark()
            if epoch == self._log.epoch:
                await self._log.trim(min(number, self._latencies.stored_number(epoch)))
        except (StoreError, OSError) as error:
            _log.warning("ingest_upkeep_failed", error=printable(str(error), limit=300))

    async def _finish(self) -> None:
        try:
            await self._latencies.finish()
        except StoreError as error:
            _log.warning("ingest_last_histograms_not_stored", error=str(error))
