"""Checks of a restored server at levels L4 and L5; everything only reads (``ports.restored_checks``)."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from dbre.capabilities.backup.drilling.levels import failed, inconclusive, passed
from dbre.core.errors import DbreError, Unsupported
from dbre.core.text import counted, printable
from dbre.ports.engine import Engine, Server, Timeouts
from dbre.ports.integrity import IntegrityReport
from dbre.ports.restored_checks import CheckedServer, RestoredResult

__all__ = ["LONG", "DamageCheck", "ExtensionsCheck", "damage_checks", "opened"]

LONG = Timeouts(connect_seconds=30.0, statement_seconds=6 * 3600.0, lock_seconds=30.0)
"""Limits of what reads all there is."""
_SHOWN_FAULTS = 20
_AS_AT_THE_SOURCE = frozenset({"collation_changed", "index_invalid", "sequence_behind"})
"""Not done by copying: the source is so as well, or this machine has other libraries."""


@asynccontextmanager
async def opened(
    engine: Engine, checked: CheckedServer, *, database: str | None, timeouts: Timeouts = LONG, is_reader: bool = False
) -> AsyncIterator[Server]:
    """The restored server, one database of it, with limits of its own."""
    access = replace(checked.access, timeouts=timeouts, application_name="dbre:drill", is_reader=is_reader)
    server = engine.connect(access if database is None else replace(access, database=database))
    try:
        yield server
    finally:
        await server.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageCheck:
    """Checks of facet ``integrity`` that one word of the configuration stands for."""

    name: str  # checksums, amcheck, constraints
    reports: tuple[str, ...]  # names of the facet's checks
    engine: Engine

    async def run(self, checked: CheckedServer) -> list[RestoredResult]:
        """Run those that the engine has, in every database."""
        found: list[RestoredResult] = []
        for database in checked.databases or (None,):
            async with opened(self.engine, checked, database=database) as server:
                try:
                    known = [one for one in self.reports if one in server.integrity.checks()]
                except Unsupported:
                    return []
                found += [await self._run_one(server, one, database) for one in known]
        return found

    async def _run_one(self, server: Server, check: str, database: str | None) -> RestoredResult:
        name = self.name if len(self.reports) == 1 else f"{self.name}/{check}"
        began = time.monotonic()
        try:
            report = await server.integrity.check(check)
        except DbreError as error:
            return inconclusive("L4", name, printable(error.message, limit=500), time.monotonic() - began, code=error.code)
        return _result(report, name, database)


def _result(report: IntegrityReport, name: str, database: str | None) -> RestoredResult:
    where = f" of database {printable(database, limit=100)}" if database is not None else ""
    looked = f"{report.looked_at} {report.unit}{where}"
    if report.faults:
        shown = [
            {"rule": one.rule, "subject": printable(one.subject, limit=300), "detail": printable(one.detail, limit=300)}
            for one in report.faults[:_SHOWN_FAULTS]
        ]
        first = shown[0]
        more = f"; and {len(report.faults) - 1} more" if len(report.faults) > 1 else ""
        detail = f"{first['rule']} {first['subject']}: {first['detail']}{more} ({looked} looked at)"
        make = inconclusive if all(one.rule in _AS_AT_THE_SOURCE for one in report.faults) else failed
        return make("L4", name, detail, report.seconds, faults=shown, looked_at=report.looked_at)
    if report.missing is not None:
        place = f"{where.removeprefix(' of ')}: " if where else ""
        return inconclusive("L4", name, place + printable(report.missing, limit=500), report.seconds)
    return passed("L4", name, f"{looked} are sound", report.seconds, looked_at=report.looked_at, unit=report.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionsCheck:
    """Whether the restored server can load every extension that the data need."""

    engine: Engine
    name: str = "extensions"

    async def run(self, checked: CheckedServer) -> list[RestoredResult]:
        """Ask each database; a missing one is no fault of the backup, but nobody can say that its data are right."""
        began, missing, seen = time.monotonic(), [], 0
        for database in checked.databases or (None,):
            async with opened(self.engine, checked, database=database) as server:
                try:
                    found = await server.integrity.extensions()
                except Unsupported:
                    return []
            seen += len(found)
            missing += [
                f"{printable(name, limit=100)} {printable(version, limit=40)}"
                for name, version, is_there in found
                if not is_there
            ]
        seconds = time.monotonic() - began
        if missing:
            detail = f"missing extension {', '.join(sorted(set(missing)))}: install it where drills run"
            return [inconclusive("L4", self.name, detail, seconds, missing=sorted(set(missing)))]
        return [passed("L4", self.name, f"{counted(seen, 'extension')} can be loaded", seconds)]


def damage_checks(engine: Engine, wanted: Sequence[str]) -> list[DamageCheck]:
    """The checks that words of ``drill.checks`` stand for."""
    words = {
        "checksums": ("pages",),
        "amcheck": ("indexes", "heaps", "tables", "counts"),  # PostgreSQL; MySQL (CHECK TABLE); Redis (every key)
        "constraints": ("constraints", "invalid_indexes", "sequences", "collations"),
    }
    return [DamageCheck(name=name, reports=reports, engine=engine) for name, reports in words.items() if name in wanted]
