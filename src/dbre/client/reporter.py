"""What an application calls: tell how each request to a database ended."""

import atexit
import os
import ssl
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dbre.client.classification import classify_error, code_of
from dbre.client.event import Attributes, ClientEvent
from dbre.client.outbox import Outbox, OutboxCounts
from dbre.client.outcome import Outcome
from dbre.client.sender import Sender
from dbre.client.spool import Spool

__all__ = ["Reporter"]

_EXIT_SECONDS = 2.0
_VALUE_CHARACTERS = 200
_REMEMBERED_SETS = 5_000


class Reporter:
    """Tells dbre how requests ended. No call blocks or raises, whatever happens to the network or to dbre.

    >>> reporter = Reporter("http://127.0.0.1:9", token="...", slo="checkout@main")
    >>> with reporter.observe():
    ...     pass
    >>> reporter.counts.recorded
    1
    """

    def __init__(
        self,
        url: str,
        *,
        token: str,
        slo: str | None = None,
        attributes: Mapping[str, str] | None = None,
        max_events: int = 100_000,
        batch_events: int = 2_000,
        interval_seconds: float = 1.0,
        timeout_seconds: float = 10.0,
        spool_directory: Path | str | None = None,
        spool_bytes: int = 64 * 2**20,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        sender = Sender(url, token, timeout_seconds=timeout_seconds, verify=verify)
        spool = None if spool_directory is None else Spool(Path(spool_directory), max_bytes=spool_bytes)
        self._outbox = Outbox(
            sender, max_events=max_events, batch_events=batch_events, interval_seconds=interval_seconds, spool=spool
        )
        self._slo = slo
        self._shared = dict(attributes or {})
        self._sets: dict[frozenset[tuple[str, str]], Attributes] = {}
        _follow(self._outbox)

    @property
    def counts(self) -> OutboxCounts:
        """What became of the events: recorded, sent, refused, dropped for want of room, and the last problem."""
        return self._outbox.counts

    def record(
        self,
        outcome: Outcome | bool,
        *,
        duration_seconds: float | None = None,
        slo: str | None = None,
        attributes: Mapping[str, str] | None = None,
        weight: int = 1,
    ) -> None:
        """Tell one event that ends now; ``weight`` of its kind where only some are told. Never raises."""
        try:
            if isinstance(outcome, bool):
                outcome = Outcome.GOOD if outcome else Outcome.BAD
            duration_ms = None if duration_seconds is None else max(duration_seconds * 1_000, 0.0)
            at_ms, name = time.time_ns() // 1_000_000, slo or self._slo
            known = () if name is not None else self._described(attributes or {})
            self._outbox.put(ClientEvent(at_ms, outcome, duration_ms, max(int(weight), 1), name, known))
        except Exception as error:  # noqa: BLE001 - an application must not fail for what is told about it
            self._outbox.counts.dropped += 1
            self._outbox.counts.last_problem = f"{type(error).__name__}: {error}"

    def record_error(
        self,
        error: BaseException | None,
        *,
        duration_seconds: float | None = None,
        slo: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Tell a request that ended with this exception, or well with None; its code decides what it says. Never raises."""
        outcome = Outcome.GOOD if error is None else _judged(error)
        code = None if error is None else code_of(error)
        if code is not None and slo is None and self._slo is None:
            attributes = {"db.response.status_code": code[1], **(attributes or {})}
        self.record(outcome, duration_seconds=duration_seconds, slo=slo, attributes=attributes)

    @contextmanager
    def observe(self, *, slo: str | None = None, attributes: Mapping[str, str] | None = None) -> Iterator[None]:
        """Measure the block, and tell how it ended; its exception goes on."""
        began = time.perf_counter()
        try:
            yield
        except BaseException as error:
            self.record_error(error, duration_seconds=time.perf_counter() - began, slo=slo, attributes=attributes)
            raise
        self.record_error(None, duration_seconds=time.perf_counter() - began, slo=slo, attributes=attributes)

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Wait until everything was sent or refused; False where it did not come to that in time."""
        return self._outbox.flush(timeout_seconds)

    def close(self, timeout_seconds: float = _EXIT_SECONDS) -> bool:
        """Send what is there and end; happens by itself when the process ends."""
        return self._outbox.close(timeout_seconds)

    def _described(self, attributes: Mapping[str, str]) -> Attributes:
        key = frozenset(attributes.items())
        found = self._sets.get(key)
        if found is None:
            if len(self._sets) >= _REMEMBERED_SETS:
                self._sets.clear()
            merged = {**self._shared, **attributes}
            found = tuple(sorted((str(name), str(value)[:_VALUE_CHARACTERS]) for name, value in merged.items()))
            self._sets[key] = found
        return found


def _judged(error: BaseException) -> Outcome:
    try:
        return classify_error(error)
    except Exception:  # noqa: BLE001 - an exception whose text cannot be had says nothing
        return Outcome.INVALID


_living: "weakref.WeakSet[Outbox]" = weakref.WeakSet()  # its thread keeps an outbox alive that has something to send


def _follow(outbox: Outbox) -> None:
    if not _living:
        atexit.register(_close_all)
    _living.add(outbox)


def _close_all() -> None:
    for outbox in list(_living):
        outbox.close(_EXIT_SECONDS)


def _fork_all() -> None:
    for outbox in list(_living):
        outbox.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fork_all)
