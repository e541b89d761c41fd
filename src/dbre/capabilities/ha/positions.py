"""Places in the log, compared: by bytes where they are counted, else by transactions."""

from collections.abc import Iterable

from dbre.ports.topology import LogPosition

__all__ = ["furthest", "is_ahead"]


def furthest(positions: Iterable[LogPosition | None]) -> LogPosition | None:
    """The one that is ahead of the others, the first of those that are equally far; None where none is known."""
    best: LogPosition | None = None
    for one in positions:
        if one is not None and (best is None or is_ahead(one, best)):
            best = one
    return best


def is_ahead(one: LogPosition | None, other: LogPosition | None) -> bool:
    """Whether ``one`` has something that ``other`` lacks; what is known is ahead of what is not."""
    if one is None or other is None:
        return one is not None
    missing = other.bytes_behind(one)
    return missing > 0 if missing is not None else bool(other.transactions_behind(one))
