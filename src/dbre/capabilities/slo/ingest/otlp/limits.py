"""What a receiver takes at most: whoever may send must not be able to exhaust its memory."""

__all__ = ["MAX_BODY_BYTES", "MAX_EVENTS", "MAX_POINTS", "MAX_SPANS_REMEMBERED", "MAX_STREAMS", "MAX_VALUE_CHARACTERS"]

MAX_BODY_BYTES = 20 * 2**20
"""Of a request after decompression."""
MAX_POINTS = 100_000
"""Spans or data points of a request."""
MAX_EVENTS = 500_000
"""Buckets with events of a request: a histogram point gives one of each."""
MAX_SPANS_REMEMBERED = 500_000
"""Spans by which one that is sent again is recognised: at least half of it, about 100 bytes each."""
MAX_STREAMS = 50_000
"""Streams of cumulative metrics whose last value is kept."""
MAX_VALUE_CHARACTERS = 200
"""Of an attribute's value; what is longer is cut, since it names nothing."""
