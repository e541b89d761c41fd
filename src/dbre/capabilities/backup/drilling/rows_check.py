"""Rows of a restored server compared with those of a live one, table by table (level L5, backup.md 4.8)."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from dbre.capabilities.backup.drilling.checks import LONG, opened
from dbre.capabilities.backup.drilling.levels import failed, inconclusive, passed
from dbre.core.errors import DbreError, Unreachable
from dbre.core.fleet import Cluster, Instance
from dbre.core.secrets import prepare_secrets
from dbre.core.text import counted, printable
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.model import LogPosition
from dbre.ports.engine import Access, Engine, Server
from dbre.ports.integrity import TableName
from dbre.ports.restored_checks import CheckedServer, RestoredResult
from dbre.ports.session import Role

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

    Equal digests prove a table. A difference proves damage only where the live server wrote nothing after the point that
    was restored; else the table may have changed since, and nobody can tell: that is no pass either.
    """

    engine: Engine
    cluster: Cluster
    port: BackupPort
    reached: LogPosition | None
    name: str = "rows"

    async def run(self, checked: CheckedServer) -> list[RestoredResult]:
        """Compare every table of every database."""
        began = time.monotonic()
        try:
            instance, access = await self._live()
            compared = [await self._compare(checked, access, database) for database in checked.databases or (None,)]
            is_same_moment = await self._is_at_the_same_point(access)
        except DbreError as error:
            said = f"nothing to compare with: {printable(error.message, limit=400)}"
            return [inconclusive("L5", self.name, said, time.monotonic() - began, code=error.code)]
        return [self._result(compared, instance, time.monotonic() - began, is_same_moment=is_same_moment)]

    def _result(
        self, compared: Sequence[_Tables], instance: Instance, seconds: float, *, is_same_moment: bool
    ) -> RestoredResult:
        equal = [name for one in compared for name in one.equal]
        unlike = [name for one in compared for name in (*one.different, *one.missing)]
        rows = sum(one.rows for one in compared)
        evidence = {
            "instance": instance.name,
            "equal": len(equal),
            "different": unlike[:_SHOWN],
            "is_same_moment": is_same_moment,
        }
        names = ", ".join(unlike[:_SHOWN])
        if unlike and is_same_moment:
            detail = f"{names}: other rows than {instance.name} has, where nothing was written since"
            return failed("L5", self.name, detail, seconds, **evidence)
        if unlike or not equal:
            why = f"{names} changed on {instance.name} since, or came back wrong" if unlike else "there is no table to compare"
            detail = f"{why}; {counted(len(equal), 'table')} equal"
            return inconclusive("L5", self.name, detail, seconds, **evidence)
        detail = f"{counted(len(equal), 'table')} with {counted(rows, 'row')} as on {instance.name}"
        return passed("L5", self.name, detail, seconds, **evidence)

    async def _live(self) -> tuple[Instance, Access]:
        await prepare_secrets([self.cluster.password])
        failure: DbreError | None = None
        primary: tuple[Instance, Access] | None = None
        for instance in self.cluster.instances:
            access = Access.to(self.cluster, instance.address, timeouts=LONG, application_name="dbre:drill")
            server = self.engine.connect(access)
            try:
                role = (await server.session.identify()).role
            except DbreError as error:
                failure = error
                continue
            finally:
                await server.aclose()
            if role is Role.REPLICA:
                return instance, access
            primary = primary or (instance, access)
        if primary is None:
            raise failure or Unreachable(f"cluster {self.cluster.name} has no instance", hint="add one to the inventory")
        return primary

    async def _is_at_the_same_point(self, access: Access) -> bool:
        if self.reached is None:
            return False
        position = await self.port.position(access)
        return position.value <= self.reached.value

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
