"""How many streams of server-sent events one process keeps open."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["StreamLimit"]


class StreamLimit:
    """Counts open streams. One person with many tabs does not take the streams of all others."""

    def __init__(self, total: int = 100, each: int = 25) -> None:
        self._total = total
        self._each = each
        self._open: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Streams that are open now."""
        return self._open.total()

    @contextmanager
    def place(self, name: str) -> Iterator[bool]:
        """Whether there is room for one more of this principal; it is taken as long as the context lasts."""
        if self.count >= self._total or self._open[name] >= self._each:
            yield False
            return
        self._open[name] += 1
        try:
            yield True
        finally:
            self._open[name] -= 1
            self._open += Counter()  # forgets who has none
