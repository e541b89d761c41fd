"""What stands in a record of the log: the counts of one batch, or which batches are known."""

import msgspec

from dbre.capabilities.slo.counting import CountedSlot
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.ingest.aggregation import Aggregate, LatencyPart
from dbre.capabilities.slo.ingest.histogram import LatencyHistogram

__all__ = ["BatchRecord", "SnapshotRecord", "batch_record", "counted_of", "decode", "encode", "latencies_of"]


class SnapshotRecord(msgspec.Struct, array_like=True, frozen=True, tag=0):
    """The sequence numbers known when a segment began: by producer the highest, and a bit for each one below it."""

    streams: dict[str, tuple[int, bytes]]


class BatchRecord(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """Counts (slo, cluster, group, slot, good, bad, excluded) and histograms (slo, cluster, group, minute, blob)."""

    producer: str
    sequence: int | None
    counts: list[tuple[str, str, str, int, int, int, int]]
    latencies: list[tuple[str, str, str, int, bytes]]


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[SnapshotRecord | BatchRecord] = msgspec.msgpack.Decoder(SnapshotRecord | BatchRecord)


def encode(record: SnapshotRecord | BatchRecord) -> bytes:
    """The bytes of a record."""
    return _encoder.encode(record)


def decode(payload: bytes) -> SnapshotRecord | BatchRecord:
    """The record that the bytes hold. Raises: ValueError where they hold none."""
    return _decoder.decode(payload)


def batch_record(producer: str, sequence: int | None, found: Aggregate) -> BatchRecord:
    """The record of a batch."""
    counts = [
        (one.slo, one.cluster, one.group, one.slot, one.counts.good, one.counts.bad, one.counts.excluded)
        for one in found.counted
    ]
    latencies = [(one.slo, one.cluster, one.group, one.minute, one.histogram.as_blob()) for one in found.latencies]
    return BatchRecord(producer, sequence, counts, latencies)


def counted_of(record: BatchRecord) -> list[CountedSlot]:
    """Its counts, for the engine."""
    return [
        CountedSlot(slo, cluster, group, slot, Counts(good=good, bad=bad, excluded=excluded))
        for slo, cluster, group, slot, good, bad, excluded in record.counts
    ]


def latencies_of(record: BatchRecord) -> list[LatencyPart]:
    """Its histograms."""
    return [
        LatencyPart(slo, cluster, group, minute, LatencyHistogram.from_blob(blob))
        for slo, cluster, group, minute, blob in record.latencies
    ]
