"""What earlier recoveries and dead servers left in a data directory, and what would keep its next start from following."""

import re
import stat
from pathlib import Path

from dbre.core.text import printable

__all__ = ["find_leftovers", "remove_leftovers"]

_SIGNALS = ("recovery.signal", "recovery.done", "promote")
_TARGET = re.compile(r"\s*(recovery_target(?:_\w+)?)\s*[=\s]", re.IGNORECASE)


def find_leftovers(data: Path) -> tuple[str, ...]:
    """Signal files, sockets, and targets of recoveries in postgresql.auto.conf, which ``make_follower`` takes out."""
    found = [name for name in _SIGNALS if (data / name).exists()]
    found += [path.name for path in _sockets(data)]
    auto = data / "postgresql.auto.conf"
    lines = auto.read_text(errors="replace").splitlines() if auto.is_file() else []
    found += [f"{match[1]} in {auto.name}" for match in map(_TARGET.match, lines) if match]
    return tuple(printable(one, limit=200) for one in found)


def remove_leftovers(data: Path) -> None:
    """Take files away that would lead the next start elsewhere, or that ``pg_rewind`` stumbles over."""
    for name in _SIGNALS:
        (data / name).unlink(missing_ok=True)
    for path in _sockets(data):
        path.unlink(missing_ok=True)


def _sockets(data: Path) -> list[Path]:
    return [path for path in sorted(data.iterdir()) if stat.S_ISSOCK(path.lstat().st_mode)]
