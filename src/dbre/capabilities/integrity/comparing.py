"""Tables of two servers compared by the digests of their rows."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dbre.capabilities.integrity.opening import OpenServer
from dbre.core.clock import Clock
from dbre.ports.integrity import TableDigest, TableName

__all__ = ["Comparison", "Likeness", "compare", "is_as_it_should_be"]

_LOOKS = 4
_PAUSE_SECONDS = 1.0  # for a replica to catch up


class Likeness(StrEnum):
    """What a comparison of one table says."""

    EQUAL = "equal"
    DIFFERENT = "different"
    CHANGING = "changing"  # written while we looked: at no two moments can the sides be compared
    MISSING = "missing"  # one side has no such table


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One table on both sides."""

    table: TableName
    likeness: Likeness
    left_rows: int | None
    right_rows: int | None
    seconds: float


async def compare(
    left: OpenServer, right: OpenServer, clock: Clock, *, tables: Sequence[TableName]
) -> AsyncIterator[Comparison]:
    """Compare tables (all, where none is named). A difference counts only if the left side did not change meanwhile.

    A replica lags, so that the right side is looked at again before a difference is believed.
    """
    ours, theirs = await left.server.integrity.tables(), await right.server.integrity.tables()
    for table in tables or sorted({*ours, *theirs}):
        if table not in ours or table not in theirs:
            yield Comparison(table=table, likeness=Likeness.MISSING, left_rows=None, right_rows=None, seconds=0.0)
        else:
            yield await _compare_one(left, right, table, clock)


async def _compare_one(left: OpenServer, right: OpenServer, table: TableName, clock: Clock) -> Comparison:
    began, looks = clock.monotonic(), []
    for look in range(_LOOKS):
        if look:
            await clock.sleep(_PAUSE_SECONDS)
        here, there = await left.server.integrity.digest(table), await right.server.integrity.digest(table)
        looks.append(here)
        if _same(here, there) or (len(looks) > 1 and any(_same(one, there) for one in looks)):
            return _compared(table, Likeness.EQUAL, here, there, clock.monotonic() - began)
    is_still = all(_same(one, looks[0]) for one in looks)
    return _compared(table, Likeness.DIFFERENT if is_still else Likeness.CHANGING, here, there, clock.monotonic() - began)


def _same(one: TableDigest, other: TableDigest) -> bool:
    return (one.method, one.rows, one.digest) == (other.method, other.rows, other.digest)


def _compared(table: TableName, likeness: Likeness, here: TableDigest, there: TableDigest, seconds: float) -> Comparison:
    return Comparison(table=table, likeness=likeness, left_rows=here.rows, right_rows=there.rows, seconds=seconds)


def is_as_it_should_be(found: Sequence[Comparison]) -> bool:
    """Whether nothing differs; a table that is written all the time says nothing against it."""
    return all(one.likeness in (Likeness.EQUAL, Likeness.CHANGING) for one in found)
