"""Signals inside one process: "a transaction that touched this topic has been committed"."""

import asyncio
from typing import cast

from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["Announcements", "announce"]

_KEY = "dbre_topics"


def announce(connection: AsyncConnection, topic: str) -> None:
    """Wake those who listen to ``topic`` once the transaction of ``connection`` is committed; never if it is rolled back."""
    cast("set[str]", connection.info.setdefault(_KEY, set())).add(topic)


class Announcements:
    """Who listens to what. Signals are level-triggered: one that is set while nobody waits is not lost."""

    def __init__(self) -> None:
        self._signals: dict[str, list[asyncio.Event]] = {}

    def listen(self, topic: str) -> asyncio.Event:
        """A signal that is set after each commit that announced ``topic``; the listener clears it before it looks."""
        signal = asyncio.Event()
        self._signals.setdefault(topic, []).append(signal)
        return signal

    def collect(self, connection: AsyncConnection) -> frozenset[str]:
        """Take the topics from a connection; also called at its begin, because a pooled connection keeps its notes."""
        return frozenset(cast("set[str]", connection.info.pop(_KEY, set())))

    def deliver(self, topics: frozenset[str]) -> None:
        """Set the signals of all listeners to these topics."""
        for topic in topics:
            for signal in self._signals.get(topic, ()):
                signal.set()
