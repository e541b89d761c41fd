"""Events that come through NATS JetStream or Kafka."""

from dbre.capabilities.slo.ingest.streams.documents import STREAMS
from dbre.capabilities.slo.ingest.streams.reading import StreamReading, stream_reading

__all__ = ["STREAMS", "StreamReading", "stream_reading"]
