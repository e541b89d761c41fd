"""Signals inside one process: "a transaction that touched this topic has been committed"."""

import asyncio
import weakref
from collections.abc import Set as AbstractSet

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.store.notes import notes_of

__all__ = ["Announcements", "announce"]


def announce(connection: AsyncConnection, topic: str) -> None:
    """Wake those who listen to ``topic`` once the transaction of ``connection`` is committed; never if it is rolled back."""
    notes_of(connection).topics.add(topic)


class Announcements:
    """Who listens to what. Signals are level-triggered: one that is set while nobody waits is not lost."""

    def __init__(self) -> None:
        self._signals: dict[str, weakref.WeakSet[asyncio.Event]] = {}  # who has gone listens no more

    def listen(self, topic: str) -> asyncio.Event:
        """A signal, set after each commit that announced ``topic``. The listener keeps it, and clears it before it looks."""
        signal = asyncio.Event()
        self._signals.setdefault(topic, weakref.WeakSet()).add(signal)
        return signal

    def deliver(self, topics: AbstractSet[str]) -> None:
        """Set the signals of all listeners to these topics."""
        for topic in topics:
            for signal in tuple(self._signals.get(topic, ())):
                signal.set()
