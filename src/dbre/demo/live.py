"""What a person sees while the demonstration runs: a live line on a terminal, one timestamped line per change otherwise."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dbre.core.progress import report

__all__ = ["PlainTeller", "Teller", "telling"]

_REFRESH_PER_SECOND = 8


class Teller(Protocol):
    """Says what has changed, and what is going on."""

    def tell(self, text: str) -> None:
        """Something changed: stays on the screen and in logs."""
        ...

    def now(self, text: str, *, seconds: float | None = None) -> None:
        """What goes on from now, and how long it is meant to last; shown on a terminal only."""
        ...


class PlainTeller:
    """For pipes and logs."""

    def tell(self, text: str) -> None:
        """One timestamped line."""
        report(text)

    def now(self, text: str, *, seconds: float | None = None) -> None:
        """Nothing: a log needs changes only."""


class _LiveTeller:
    """For terminals: lines scroll by, the last one lives."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._text, self._since = "starting", time.monotonic()
        self._seconds: float | None = None

    def tell(self, text: str) -> None:
        self._console.print(Text(f"{time.strftime('%H:%M:%S')} {text}"), soft_wrap=True)

    def now(self, text: str, *, seconds: float | None = None) -> None:
        self._text, self._since, self._seconds = text, time.monotonic(), seconds

    def __rich__(self) -> Text:
        elapsed = time.monotonic() - self._since
        if self._seconds is None:
            return Text(f"  → {self._text} {elapsed:.0f} s", style="bold")
        done = min(elapsed / self._seconds, 1.0)
        bar = "━" * round(done * 24) + "┄" * (24 - round(done * 24))
        return Text(f"  → {self._text} {bar} {elapsed:.1f} of {self._seconds:g} s", style="bold")


@contextmanager
def telling() -> Iterator[Teller]:
    """The teller that fits stderr; the live line is gone at the end."""
    if not sys.stderr.isatty():
        yield PlainTeller()
        return
    console = Console(stderr=True, highlight=False)
    teller = _LiveTeller(console)
    with Live(teller, console=console, refresh_per_second=_REFRESH_PER_SECOND, transient=True):
        yield teller
