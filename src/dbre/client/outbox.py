"""Events on their way: gathered in memory of bounded size, sent by a thread of its own, kept in files while nobody answers."""

import random
import threading
import time
from collections import deque
from uuid import uuid4

from dbre.client.event import ClientEvent
from dbre.client.sender import Sender, Verdict
from dbre.client.spool import Batch, Spool
from dbre.client.wire import encode

__all__ = ["Outbox", "OutboxCounts"]

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 30.0


class OutboxCounts:
    """What became of the events, since the start."""

    def __init__(self) -> None:
        self.recorded = self.sent = self.dropped = self.refused = self.failures = 0
        self.last_problem = ""

    def __repr__(self) -> str:
        return f"OutboxCounts({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class Outbox:
    """A queue and the thread that empties it. ``put`` takes a lock for a moment and does no I/O.

    Without a spool the newest ``max_events`` and one batch are kept while nobody answers, in memory; with one, files.
    """

    def __init__(
        self, sender: Sender, *, max_events: int, batch_events: int, interval_seconds: float, spool: Spool | None
    ) -> None:
        self._sender = sender
        self._spool = spool
        self._batch_events = batch_events
        self._interval = interval_seconds
        self._max_events = max_events
        self._begin()

    def _begin(self) -> None:
        self.counts = OutboxCounts()
        self._queue: deque[ClientEvent] = deque()
        self._held: Batch | None = None  # under way, or to be sent again
        self._has_spooled = self._spool is not None  # an earlier process may have left some
        self._stream, self._sequence = uuid4().hex, 0
        self._lock, self._saving = threading.Lock(), threading.Lock()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, event: ClientEvent) -> None:
        """Gather an event; the oldest one goes where the queue is full."""
        with self._lock:
            self.counts.recorded += 1
            if self._closing.is_set():
                self.counts.dropped += 1
                return
            if len(self._queue) >= self._max_events:
                self._queue.popleft()
                self.counts.dropped += 1
            self._queue.append(event)
            is_full = len(self._queue) >= self._batch_events
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dbre-client", daemon=True)
                self._thread.start()
        if is_full:
            self._wake.set()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything was sent or refused; False where it did not come to that in time."""
        deadline = time.monotonic() + timeout_seconds
        while not self._is_empty():
            self._wake.set()
            if time.monotonic() > deadline or self._closing.wait(0.02):
                return self._is_empty()
        return True

    def close(self, timeout_seconds: float) -> bool:
        """Send what is there, then end; what cannot be sent in time is spooled, where there is a spool."""
        is_sent = self.flush(timeout_seconds)
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)
        self._save()
        self._sender.close()
        return is_sent

    def after_fork(self) -> None:
        """In a child: threads, locks and connections stayed with the parent, and so did its events and its numbers."""
        self._sender.forget()
        self._begin()

    def _is_empty(self) -> bool:
        with self._lock:
            return not self._queue and (self._thread is None or (self._held is None and not self._has_spooled))

    def _run(self) -> None:
        wait = _FIRST_WAIT_SECONDS
        while not self._closing.is_set():
            self._wake.wait(self._interval)
            self._wake.clear()
            try:
                pause = self._send_all(wait)
            except Exception as error:  # noqa: BLE001 - a thread that dies would drop every later event silently
                self._note(f"{type(error).__name__}: {error}")
                pause = wait
            if pause is None:
                wait = _FIRST_WAIT_SECONDS
            else:
                self._closing.wait(pause)
                wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    def _send_all(self, wait: float) -> float | None:
        """Send all there is; how long to wait where the receiver does not take it."""
        while (batch := self._next()) is not None:
            answer = self._sender.send(batch)
            if answer.verdict is Verdict.AGAIN:
                self._note(answer.text)
                self._save()
                return answer.wait_seconds or wait * (0.5 + random.random())  # noqa: S311 - spreads senders, guards nothing
            if answer.verdict is Verdict.TAKEN:
                self.counts.sent += batch.events
            else:
                self.counts.refused += batch.events
                self.counts.last_problem = answer.text
            self._done(batch)
        return None

    def _next(self) -> Batch | None:
        if self._held is None and self._spool is not None and self._has_spooled:
            oldest = next(self._spool.oldest(), None)
            if oldest is not None:
                return oldest
            self._has_spooled = False
        with self._lock:
            if self._held is None and self._queue:
                self._held = self._cut()
            return self._held

    def _cut(self) -> Batch:
        """A batch of the oldest events; the caller holds the lock."""
        events = [self._queue.popleft() for _ in range(min(self._batch_events, len(self._queue)))]
        self._sequence += 1
        return Batch(self._stream, self._sequence, len(events), encode(events))

    def _done(self, batch: Batch) -> None:
        with self._lock:
            if self._held is batch:
                self._held = None
                return
        if self._spool is not None:
            self._spool.remove(batch)

    def _save(self) -> None:
        """Bring everything into files. What cannot be written stays in memory."""
        if self._spool is not None:
            with self._saving:  # whoever closes saves as well
                self._save_to(self._spool)

    def _save_to(self, spool: Spool) -> None:
        try:
            while True:
                with self._lock:
                    if self._held is None and not self._queue:
                        break
                    batch = self._held = self._held or self._cut()
                self._has_spooled = True
                spool.put(batch)
                with self._lock:
                    self._held = None
        except OSError as error:
            self._note(f"the spool cannot be written: {error}")
        self.counts.dropped += spool.dropped_events
        spool.dropped_events = 0

    def _note(self, problem: str) -> None:
        self.counts.failures += 1
        self.counts.last_problem = problem
