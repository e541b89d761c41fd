"""Questions about the business, asked of a restored server (level L5)."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from dbre.capabilities.backup.documents import QueryDocument
from dbre.capabilities.backup.drilling.checks import opened
from dbre.capabilities.backup.drilling.levels import failed, inconclusive, passed
from dbre.core.errors import DbreError
from dbre.core.text import printable
from dbre.ports.engine import Engine, Timeouts
from dbre.ports.restored_checks import CheckedServer, RestoredResult
from dbre.ports.session import UnexpectedAnswer

__all__ = ["QueryCheck", "objections"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryCheck:
    """Asks each query in a read-only way; personal data are no evidence, so that only numbers and verdicts are kept."""

    engine: Engine
    queries: Sequence[QueryDocument]
    name: str = "queries"

    async def run(self, checked: CheckedServer) -> list[RestoredResult]:
        """Ask all of them, whatever the first one says."""
        return [await self._ask(checked, one) for one in self.queries]

    async def _ask(self, checked: CheckedServer, query: QueryDocument) -> RestoredResult:
        name, began = f"queries/{query.name}", time.monotonic()
        limits = Timeouts(connect_seconds=30.0, statement_seconds=query.timeout.total_seconds())
        database = query.database or (checked.databases[0] if checked.databases else None)
        try:
            is_reader = not query.as_superuser
            async with opened(self.engine, checked, database=database, timeouts=limits, is_reader=is_reader) as server:
                row = await server.session.read_row(query.sql)
        except UnexpectedAnswer as error:
            return failed("L5", name, printable(error.message, limit=500), time.monotonic() - began)
        except DbreError as error:
            return inconclusive("L5", name, printable(error.message, limit=500), time.monotonic() - began, code=error.code)
        seconds = time.monotonic() - began
        found = objections(query, row)
        if found:
            return failed("L5", name, "; ".join(found), seconds, objections=found)
        asked = len(query.expect) + len(query.at_least) or 1
        return passed("L5", name, f"{asked} of {asked} conditions hold", seconds, numbers=_numbers(row))


def objections(query: QueryDocument, row: Mapping[str, object]) -> list[str]:
    """What an answer lacks of what is expected.

    >>> from dbre.capabilities.backup.documents import QueryDocument
    >>> asked = QueryDocument(name="orders", sql="SELECT count(*) AS n FROM orders", at_least={"n": 100})
    >>> objections(asked, {"n": 7})
    ['n is 7, and must be at least 100']
    """
    found = [
        f"the answer has no column {printable(one, limit=80)}" for one in (*query.expect, *query.at_least) if one not in row
    ]
    for name, wanted in query.expect.items():
        if name in row and not _equal(row[name], wanted):
            found.append(f"{name} is {_shown(row[name])}, and must be {_shown(wanted)}")
    for name, least in query.at_least.items():
        number = _number(row.get(name))
        if name in row and (number is None or number < Decimal(str(least))):
            found.append(f"{name} is {_shown(row[name])}, and must be at least {least:g}")
    if not query.expect and not query.at_least:
        first = next(iter(row.items()), None)
        if first is None or (first[1] is not True and _number(first[1]) != 1):
            found.append(f"{first[0]} is {_shown(first[1])}, and must be true" if first else "the answer has no column")
    return found


def _equal(found: object, wanted: object) -> bool:
    if wanted is None or found is None or isinstance(wanted, bool) or isinstance(found, bool):
        one, other = (_number(value) if isinstance(value, bool) else value for value in (found, wanted))
        return found is wanted or (found is not None and wanted is not None and one == other)
    one, other = _number(found), _number(wanted)
    return one == other if one is not None and other is not None else str(found) == str(wanted)


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return Decimal(int(value))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if not isinstance(value, int | float | Decimal | str):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _shown(value: object) -> str:
    """A value of an answer in a message: numbers as they are, of text only that there is some."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float | Decimal) else "another text"


def _numbers(row: Mapping[str, object]) -> dict[str, str]:
    return {
        printable(name, limit=80): _shown(value)
        for name, value in list(row.items())[:20]
        if isinstance(value, bool | int | float | Decimal)
    }
