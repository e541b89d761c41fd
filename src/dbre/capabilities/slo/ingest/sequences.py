"""Which numbered batches of each producer are on the disk, in bounded memory."""

from collections import OrderedDict
from collections.abc import Mapping

__all__ = ["MAX_STREAMS", "WINDOW", "Sequences"]

WINDOW = 1024
"""How far behind the highest number of a producer a batch may come in for the first time; below that it counts as known."""
MAX_STREAMS = 10_000
"""Producers, each with its own numbers; those that sent nothing for the longest time are forgotten."""
_ALL = (1 << WINDOW) - 1


class Sequences:
    """For each producer the highest number, and a bit for each of the numbers below it: senders may overtake themselves."""

    def __init__(self) -> None:
        self._streams: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._streams)

    def knows(self, producer: str, sequence: int) -> bool:
        """Whether that batch was added, or is so old that it must be taken for known."""
        if producer not in self._streams:
            return False
        highest, bits = self._streams[producer]
        behind = highest - sequence
        return behind >= 0 and (behind >= WINDOW or bool(bits >> behind & 1))

    def add(self, producer: str, sequence: int) -> None:
        """A batch is on the disk."""
        highest, bits = self._streams.get(producer, (sequence, 0))
        ahead = sequence - highest
        if ahead >= 0:
            bits = (bits << ahead & _ALL if ahead < WINDOW else 0) | 1
        elif -ahead < WINDOW:
            bits |= 1 << -ahead
        self._streams[producer] = (max(highest, sequence), bits)
        self._streams.move_to_end(producer)
        if len(self._streams) > MAX_STREAMS:
            self._streams.popitem(last=False)

    def snapshot(self) -> dict[str, tuple[int, bytes]]:
        """All of it, for a record."""
        size = WINDOW // 8
        return {name: (highest, bits.to_bytes(size, "little").rstrip(b"\0")) for name, (highest, bits) in self._streams.items()}

    def adopt(self, snapshot: Mapping[str, tuple[int, bytes]]) -> None:
        """Take what a snapshot says; it knows everything that stands before it."""
        for name, (highest, bits) in snapshot.items():
            self._streams[name] = (highest, int.from_bytes(bits, "little"))
