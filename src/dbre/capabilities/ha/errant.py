"""What a node wrote that its primary does not have, by what the logs of both say of each writer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dbre.ports.topology import NodeView, WriterLog

__all__ = ["Errant", "errant_of", "is_comparable", "told_of_errants"]

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Errant:
    """A range of one writer: all of it is in the log of the node, nothing of it in that of the primary."""

    log: WriterLog
    first: int

    @property
    def many(self) -> int:
        """The most that it can be: numbers may be left out."""
        return self.log.newest - self.first + 1

    @property
    def text(self) -> str:
        """Domain 0, server 1: transactions 7081 to 7082."""
        one, last = self.first, self.log.newest
        numbers = f"{self.log.unit} {one}" if one == last else f"{self.log.unit} {one} to {last}"
        return f"{self.log.name}: {numbers}"


def is_comparable(node: NodeView, primary: NodeView) -> bool:
    """Whether both tell who wrote how far. A node that never wrote anything has nothing; a primary's log may begin late."""
    if node.writers is None or primary.writers is None:
        return False
    return bool(primary.writers) or not node.writers


def errant_of(node: NodeView, primary: NodeView) -> tuple[Errant, ...]:
    """Compared writer by writer; nothing where one of the two does not tell.

    What the primary itself wrote is never errant: it may have gone on since it was asked. A writer of whom the primary knows
    nothing wrote before it where his numbers are within those that it knows of others, or that the node has of the primary;
    that the primary itself has come as far with transactions of its own says nothing of him.
    """
    return tuple(_errants(node.writers, primary)) if node.writers and primary.writers else ()


def told_of_errants(found: Sequence[Errant]) -> str:
    """One line; there may be thousands of ranges."""
    shown = "; ".join(one.text for one in found[:_SHOWN])
    return shown + (f"; and {len(found) - _SHOWN} ranges more" if len(found) > _SHOWN else "")


def _errants(mine: Sequence[WriterLog], primary: NodeView) -> Iterator[Errant]:
    theirs = {(one.stream, one.writer): one.newest for one in primary.writers or ()}
    shared = [(stream, newest) for (stream, writer), newest in theirs.items() if writer != primary.writer]
    shared += [(one.stream, one.newest) for one in mine if one.writer == primary.writer]
    for log in sorted(mine, key=lambda one: one.name):
        if log.writer == primary.writer:
            continue
        known = theirs.get((log.stream, log.writer))
        if known is None:
            known = max((newest for stream, newest in shared if stream == log.stream), default=0)
        if log.newest > known:
            yield Errant(log=log, first=known + 1)
