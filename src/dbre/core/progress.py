"""What happens while a command runs: one timestamped line per change of state, on stderr; stdout holds data only."""

import sys
from datetime import datetime

__all__ = ["report"]


def report(text: str, *, at: datetime | None = None) -> None:
    """Write one line with the local time to stderr at once."""
    moment = at or datetime.now().astimezone()
    sys.stderr.write(f"{moment:%H:%M:%S} {text}\n")
    sys.stderr.flush()
