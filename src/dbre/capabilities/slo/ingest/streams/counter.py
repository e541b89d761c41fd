"""Counts messages of one ordered log exactly once: what is counted and how far are stored together."""

from dbre.capabilities.slo.counting import CountSink, SourceMark
from dbre.capabilities.slo.ingest.aggregation import Aggregate
from dbre.capabilities.slo.ingest.checking import Rejection
from dbre.capabilities.slo.ingest.decoding import Decoded, decode_json, decode_lines, decode_msgpack
from dbre.capabilities.slo.ingest.errors import BadBatch
from dbre.capabilities.slo.ingest.intake import Intake, LatencySink
from dbre.capabilities.slo.ingest.otlp.bodies import decompress
from dbre.capabilities.slo.ingest.otlp.errors import OtlpRefusal
from dbre.capabilities.slo.ingest.pre_aggregated import counts_of

__all__ = ["StreamCounter"]

_DECODERS = {"application/json": decode_json, "application/x-ndjson": decode_lines, "application/msgpack": decode_msgpack}
_ONE_LOG = b""  # the store knows the log by its source; it has no epochs


class StreamCounter:
    """One log (a JetStream stream, a partition of a topic), whose messages have rising numbers from 1.

    A message that comes again is recognised by its number. Counts and histograms are stored in transactions of their own, so
    that after a crash one may be ahead: reading begins behind the lesser, and each takes only what it has not.
    """

    def __init__(self, source: str, *, intake: Intake, sink: CountSink, latencies: LatencySink) -> None:
        self._source = source
        self._intake = intake
        self._sink = sink
        self._latencies = latencies
        self._counted = self._measured = 0
        self.done = 0  # the newest message that was taken, in memory at least
        self.events = self.rejected = 0

    async def start(self) -> None:
        """Load how far the store is. Raises: StoreError."""
        await self._sink.wait_until_started()
        await self._latencies.start()
        self._counted = int(self._sink.stored_position(self._source) or 0)
        self._measured = self._latencies.stored_number(_ONE_LOG)
        self.done = min(self._counted, self._measured)

    def begin_anew(self) -> None:
        """The log is not the one that was read before: its numbers began again."""
        self._counted = self._measured = self.done = 0

    @property
    def stored(self) -> int:
        """Up to which message the store is known to have everything."""
        counted = int(self._sink.stored_position(self._source) or 0)
        return min(counted, self._latencies.stored_number(_ONE_LOG))

    def take(self, number: int, body: bytes, *, content_type: str = "", encoding: str = "") -> None:
        """Count one message, unless it was. Raises: BadBatch where it cannot be read."""
        if number <= self.done:
            return
        found, alive = self._read(body, content_type, encoding)
        if number > self._counted and alive:
            self._intake.alive(alive)
        self.events += found.accepted
        self.rejected += found.rejected
        self._put(number, found)

    def pass_over(self, number: int) -> None:
        """Go on behind a message that cannot be read."""
        if number > self.done:
            self._put(number, Aggregate())

    async def tick(self) -> None:
        """Bring what is due into the store. Raises: StoreError."""
        await self._latencies.tick()

    async def finish(self) -> None:
        """Bring everything into the store. Raises: StoreError."""
        await self._latencies.finish()

    def _read(self, body: bytes, content_type: str, encoding: str) -> tuple[Aggregate, list[str]]:
        kind = content_type.partition(";")[0].strip().lower() or "application/json"
        decode = _DECODERS.get(kind)
        if decode is None:
            raise BadBatch(f"the content type is none of {', '.join(sorted(_DECODERS))}")
        try:
            decoded = decode(decompress(body, encoding.strip().lower().encode()))
        except OtlpRefusal as refusal:
            raise BadBatch(refusal.message) from refusal
        return self._count(decoded), list(decoded.alive)

    def _count(self, decoded: Decoded) -> Aggregate:
        found = Aggregate()
        if decoded.columns is not None:
            found = self._intake.count(decoded.columns)
        if decoded.counts:
            found.add(counts_of(decoded.counts, self._intake.matcher, limits=self._intake.time_limits()))
        found.rejected += len(decoded.rejections)
        found.rejections += [Rejection(one.row, one.reason) for one in decoded.rejections]
        return found

    def _put(self, number: int, found: Aggregate) -> None:
        if number > self._counted:
            self._sink.take(found.counted, mark=SourceMark(self._source, str(number)))
            self._intake.hear(found.counted)
        if number > self._measured:
            self._latencies.take(found.latencies, epoch=_ONE_LOG, number=number)
        self.done = number
