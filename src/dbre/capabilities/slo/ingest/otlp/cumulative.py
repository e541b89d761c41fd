"""Metrics that count since their start: what is new is the difference to the last point of the same stream."""

from collections import OrderedDict
from dataclasses import dataclass

from dbre.capabilities.slo.ingest.otlp.points import Tally

__all__ = ["LastPoint", "StreamMemory"]


@dataclass(frozen=True, slots=True)
class LastPoint:
    """The last point of a stream that was counted."""

    start_nano: int
    time_nano: int
    tally: Tally


class StreamMemory:
    """The last point of each cumulative stream; the ones not heard of for longest are forgotten.

    A stream of which nothing is known is counted whole if it began after this memory did: everything in it is new. An older
    one may have been counted by the process before this one: its first point is only where counting begins.
    """

    def __init__(self, *, since_nano: int, limit: int) -> None:
        self._since_nano = since_nano
        self._limit = limit
        self._last: OrderedDict[bytes, LastPoint] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def difference(self, stream: bytes, point: LastPoint, staged: dict[bytes, LastPoint]) -> Tally | None:
        """What the point adds; None where it adds nothing. The caller keeps ``staged`` and commits it when all is durable."""
        last = staged.get(stream) or self._last.get(stream)
        if last is None:
            staged[stream] = point
            return point.tally if point.start_nano >= self._since_nano else None
        if point.time_nano <= last.time_nano or point.start_nano < last.start_nano:
            return None  # sent again, or overtaken
        staged[stream] = point
        if point.start_nano > last.start_nano:
            return point.tally  # the sender began anew
        if not point.tally.is_like(last.tally):
            return None  # other bounds without a new start: what is new cannot be told
        added = point.tally.minus(last.tally)
        return point.tally if added is None else added  # a counter that went back without saying so began anew as well

    def commit(self, staged: dict[bytes, LastPoint]) -> None:
        """Keep what ``difference`` staged."""
        for stream, point in staged.items():
            self._last[stream] = point
            self._last.move_to_end(stream)
        while len(self._last) > self._limit:
            self._last.popitem(last=False)
