"""Rows of a restored server compared with those of a live one, table by table (level L5, backup.md 4.8)."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from dbre.capabilities.backup.drilling.checks import opened
from dbre.capabilities.backup.drilling.levels import failed, inconclusive, passed
from dbre.capabilities.backup.drilling.living import Living, find_living
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.text import counted, printable
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.model import LogPosition
from dbre.ports.engine import Access, Engine, Server
from dbre.ports.integrity import TableName
from dbre.ports.restored_checks import CheckedServer, RestoredResult

__all__ = ["RowsCheck"]

_SHOWN = 20
_OWN_SCHEMA = "dbre"  # canary and heartbeat: written all the time, and compared in their own way


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    """How the tables of one database compare."""

    equal: tuple[str, ...]
    different: tuple[str, ...]
    missing: tuple[str, ...]  # the live server has them, the restored one has not
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsCheck:
    """Digests of whole tables on both sides, from a replica where there is one: another way than the backup took.

    Equal digests prove a table. A difference proves damage only where both servers hold the same transactions, before the
    comparison and after it; else the table may have changed, or a replica has not replayed that far, and nobody can tell:
    that is no pass either.
    """

    engine: Engine
    cluster: Cluster
    port: BackupPort
    reached: LogPosition | None
    patience_seconds: float = 60.0  # how long a replica that lags is waited for
    name: str = "rows"

    async def run(self, checked: CheckedServer) -> list[RestoredResult]:
        """Compare every table of every database."""
        began = time.monotonic()
        try:
            living = await find_living(
                self.engine,
                self.cluster,
                restored=checked.access,
                port=self.port,
                reached=self.reached,
                patience_seconds=self.patience_seconds,
            )
            compared = [await self._compare(checked, living.access, database) for database in checked.databases or (None,)]
            doubt = await living.doubt()
        except DbreError as error:
            said = f"nothing to compare with: {printable(error.message, limit=400)}"
            return [inconclusive("L5", self.name, said, time.monotonic() - began, code=error.code)]
        return [self._result(compared, living, time.monotonic() - began, doubt=doubt)]

    def _result(self, compared: Sequence[_Tables], living: Living, seconds: float, *, doubt: str | None) -> RestoredResult:
        equal = [name for one in compared for name in one.equal]
        unlike = [name for one in compared for name in (*one.different, *one.missing)]
        rows = sum(one.rows for one in compared)
        instance = living.instance.name
        evidence = {
            "instance": instance,
            "equal": len(equal),
            "different": unlike[:_SHOWN],
            "is_same_moment": doubt is None,
        }
        names = ", ".join(unlike[:_SHOWN])
        if unlike and doubt is None:
            detail = f"{names}: other rows than {instance} has, where nothing was written since"
            return failed("L5", self.name, detail, seconds, **evidence)
        if unlike or not equal:
            why = f"{names} differ on {instance}, and {doubt}" if unlike else "there is no table to compare"
            detail = f"{why}; {counted(len(equal), 'table')} equal"
            return inconclusive("L5", self.name, detail, seconds, **evidence)
        detail = f"{counted(len(equal), 'table')} with {counted(rows, 'row')} as on {instance}"
        return passed("L5", self.name, detail, seconds, **evidence)

    async def _compare(self, checked: CheckedServer, access: Access, database: str | None) -> _Tables:
        live_access = CheckedServer(
            server=checked.server, access=access, cluster=checked.cluster, engine=checked.engine, databases=checked.databases
        )
        async with AsyncExitStack() as stack:
            restored = await stack.enter_async_context(opened(self.engine, checked, database=database))
            live = await stack.enter_async_context(opened(self.engine, live_access, database=database))
            theirs = [one for one in await live.integrity.tables() if one.schema != _OWN_SCHEMA]
            ours = set(await restored.integrity.tables())
            equal, different, rows = [], [], 0
            for table in theirs:
                if table in ours and (count := await _same(restored, live, table)) is not None:
                    equal.append(_name(table))
                    rows += count
                elif table in ours:
                    different.append(_name(table))
        missing = tuple(_name(one) for one in theirs if one not in ours)
        return _Tables(equal=tuple(equal), different=tuple(different), missing=missing, rows=rows)


async def _same(restored: Server, live: Server, table: TableName) -> int | None:
    """How many rows both have; None where they differ."""
    ours, theirs = await restored.integrity.digest(table), await live.integrity.digest(table)
    is_same = (ours.method, ours.rows, ours.digest) == (theirs.method, theirs.rows, theirs.digest)
    return ours.rows if is_same else None


def _name(table: TableName) -> str:
    return printable(str(table), limit=200)
