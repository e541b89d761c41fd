"""Which spans and points were counted already: a window of bounded size, since a sender repeats only what is recent."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dbre.capabilities.slo.ingest.otlp.errors import OtlpRefusal

__all__ = ["Remembered"]


class Remembered:
    """Keys of two generations: the older one is dropped when the newer one is full, so each key is kept for half the limit.

    A key counts as known only once its events are durable. While they are on their way, whoever sends the same is asked to
    come back: were it acknowledged at once, a failure of the first would lose the events.
    """

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()
        self._pending: set[bytes] = set()

    def __contains__(self, key: bytes) -> bool:
        return key in self._new or key in self._old

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    @contextmanager
    def pending(self, keys: Iterable[bytes]) -> Iterator[None]:
        """Hold the keys while their events are made durable; they are known afterwards, unless that failed.

        Raises: OtlpRefusal where another request with one of them is under way.
        """
        held = set(keys)
        if not self._pending.isdisjoint(held):
            raise OtlpRefusal(503, "the same spans are just being stored for another request", retry_after_seconds=1)
        self._pending |= held
        try:
            yield
            self.add(held)
        finally:
            self._pending -= held

    def add(self, keys: Iterable[bytes]) -> None:
        """Remember keys."""
        for key in keys:
            if len(self._new) >= self._half:
                self._old, self._new = self._new, set()
            self._new.add(key)
