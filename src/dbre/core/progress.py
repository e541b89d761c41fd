"""What happens while a command runs: one timestamped line per change of state, on stderr; stdout holds data only."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

__all__ = ["report", "silenced"]

_is_silent: ContextVar[bool] = ContextVar("is_silent", default=False)


def report(text: str, *, at: datetime | None = None) -> None:
    """Write one line with the local time to stderr at once, unless the command was told to be quiet."""
    if _is_silent.get():
        return
    moment = at or datetime.now().astimezone()
    sys.stderr.write(f"{moment:%H:%M:%S} {text}\n")
    sys.stderr.flush()


@contextmanager
def silenced(is_silent: bool) -> Iterator[None]:
    """Keep ``report`` quiet in this block, and in tasks that it starts."""
    token = _is_silent.set(is_silent)
    try:
        yield
    finally:
        _is_silent.reset(token)
