"""The lost history of an old primary: its log after the fork says what was committed, its files hold the rows.

The copy is started as a standby of nobody: it replays its log to the end and takes no writes, so that no row version
is cleaned away before it was read.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dbre.core.errors import DbreError
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import spawn
from dbre.core.text import counted
from dbre.engines.postgres.backup.asking import asking
from dbre.engines.postgres.backup.facts import major_of
from dbre.engines.postgres.backup.log_names import lsn, parse_lsn
from dbre.engines.postgres.backup.recovering import recover
from dbre.engines.postgres.backup.toolbox import Toolbox
from dbre.engines.postgres.forks.copying import copy_directory, work_directory
from dbre.engines.postgres.forks.fork_point import fork_of
from dbre.engines.postgres.forks.log_records import LostLog, Place, Relation
from dbre.engines.postgres.forks.row_queries import rows_at, rows_made_by
from dbre.engines.postgres.rejoin.control_data import read_control_data
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.model import Place as ProgramPlace
from dbre.ports.backup.model import RecoveryTarget, TargetKind
from dbre.ports.engine import Access
from dbre.ports.forks import ChangeKind, ForkOrder, LostChange, LostWrites, NotForked

__all__ = ["LOG_ENDS", "PostgresForks"]

LOG_ENDS = (
    "invalid record length",
    "could not find file",
    "unexpected pageaddr",
    "invalid magic number",
    "could not find a valid record after",
)
"""What pg_waldump says where a log ends."""
_MISSING = re.compile(r'could not (?:find|open) file "(?:[^"]*/)?([0-9A-F]{24})"')
_TABLES = {"r", "m", "p"}
_DEFINITIONS = {"pg_class", "pg_attribute", "pg_type", "pg_proc", "pg_index", "pg_constraint", "pg_namespace", "pg_authid"}


class PostgresForks:
    """Implements ``ports.forks.ForkPort``."""

    def __init__(self, place: ProgramPlace) -> None:
        self._toolbox = Toolbox(place)
        self._account = place.account

    async def lost_writes(self, order: ForkOrder) -> LostWrites:
        """Read what was committed after the fork."""
        directory = order.directory.resolve()
        binaries = await self._toolbox.same_major(major_of(directory))
        with work_directory(self._account, order.work) as work:
            copy = work / "data"
            await copy_directory(directory, copy, self._account)
            control = await read_control_data(binaries.program("pg_controldata"), copy, self._account)
            fork = await _fork(order, control.system_id, control.timeline)
            log = await self._read_log(binaries.program("pg_waldump"), copy, fork, control.timeline)
            if not log.end and control.reached > _value(fork):
                raise ProgramFailed(f"{directory} has come to {lsn(control.reached)}, and no log from {fork} on can be read")
            changes, notes = await self._rows(copy, log, order.survivor, timeline=control.timeline)
        return LostWrites(
            system_id=control.system_id,
            timeline=control.timeline,
            fork=fork,
            end=log.end or fork,
            transactions=log.transactions,
            changes=sorted(changes, key=lambda one: (one.committed_at, _value(one.position))),
            notes=notes,
        )

    async def _read_log(self, program: Path, copy: Path, fork: str, timeline: int) -> LostLog:
        log = LostLog()
        argv: list[str | Path] = [program, f"--path={copy / 'pg_wal'}", f"--timeline={timeline}", f"--start={fork}"]
        async with spawn(argv, account=self._account, directory=copy, on_line=log.note, program="pg_waldump") as child:
            status = await child.wait()
            failure = child.failure(status)
        if status == 0:
            return log
        missing = _MISSING.search(failure.message)  # it ends where the log ends, and calls that an error
        is_gap = missing is not None and (not log.end or _goes_on_after(copy / "pg_wal", missing[1]))
        if is_gap or not any(one in failure.message for one in LOG_ENDS):
            raise ProgramFailed(
                f"the log of timeline {timeline} from {fork} on cannot be read to its end: {failure.message}",
                hint="put missing segments from the archive into pg_wal of a copy of the directory, and name that copy",
            )
        return log

    async def _rows(
        self, copy: Path, log: LostLog, survivor: Access | None, *, timeline: int
    ) -> tuple[list[LostChange], list[str]]:
        notes = _notes(log)
        if not log.touched:
            return [], notes
        recovery = RecoverOrder(
            directory=copy,
            # Not the newest: who was started as a standby since has fetched a history that it had gone past already.
            target=RecoveryTarget(kind=TargetKind.LATEST, timeline=timeline),
            log=None,
            is_faithful=False,
        )
        by_database: dict[int, set[Relation]] = defaultdict(set)
        for relation in log.touched:
            by_database[relation.database].add(relation)
        changes: list[LostChange] = []
        async with recover(self._toolbox, recovery) as server:
            async with asking(server.access, what="fork") as questions:
                names = {int(row.number): str(row.name) for row in await questions.rows("fork_databases")}
            for number, relations in sorted(by_database.items()):
                if number in names:
                    there = replace(survivor, database=names[number]) if survivor is not None else None
                    found = _Database(names[number], replace(server.access, database=names[number]), there, log)
                    changes += await found.changes(relations)
                    notes += found.notes
                else:
                    notes.append(f"{len(relations)} catalogs of all databases were changed: roles, databases, tablespaces")
        return changes, notes


def _value(position: str) -> int:
    return parse_lsn(position, timeline=0).value


async def _fork(order: ForkOrder, system_id: str, timeline: int) -> str:
    if order.fork is not None:
        return parse_lsn(order.fork, timeline=timeline).text
    if order.survivor is None:
        raise NotForked("nobody says where the histories parted", hint="name the cluster of the survivor, or --fork POSITION")
    point = await fork_of(order.survivor, timeline=timeline)
    if point.system_id != system_id:
        raise NotForked(
            f"the directory is of system {system_id}, and {order.survivor.address} of {point.system_id}",
            hint="they were never copies of one another",
        )
    return point.left_at


def _goes_on_after(directory: Path, name: str) -> bool:
    """Whether there are segments of the same timeline beyond a missing one: then it is not the end that is missing."""
    return any(one.name > name for one in directory.glob(f"{name[:8]}{'[0-9A-F]' * 16}"))


def _notes(log: LostLog) -> list[str]:
    found = []
    if log.others["sequence"]:
        found.append("sequences went on: numbers may be given out again")
    if log.others["prepared"]:
        found.append(f"prepared transactions: {log.others['prepared']}; those that were not committed are not shown")
    return found


class _Database:
    """The tables of one database, in the copy and on the survivor."""

    def __init__(self, name: str, lost: Access, survivor: Access | None, log: LostLog) -> None:
        self._name, self._lost, self._survivor, self._log = name, lost, survivor, log
        self.notes: list[str] = []

    async def changes(self, relations: Iterable[Relation]) -> list[LostChange]:
        """Rows that were made, changed or deleted, table by table."""
        found: list[LostChange] = []
        for relation in sorted(relations, key=lambda one: one.number):
            table = await self._table(self._lost, relation)
            if table is None:
                self.notes.append(f"{self._name}: file {relation.number} is of no table any more: dropped or rewritten")
            elif table.schema in ("pg_catalog", "pg_toast"):
                if table.name in _DEFINITIONS:
                    self.notes.append(f"{self._name}: definitions were changed ({table.name})")
            elif table.kind in _TABLES:
                found += await self._of_table(relation, table)
        return found

    async def _of_table(self, relation: Relation, table: Any) -> list[LostChange]:
        made_by = [str(one) for one in self._log.commits]
        async with asking(self._lost, what="fork") as questions:
            rows = await questions.run(rows_made_by(table.schema, table.name), made_by)
        deleted = {place: commit for place, commit in self._log.deleted.items() if place.relation == relation}
        origins = {str(new): old for new, old in self._log.origins.items() if new.relation == relation}
        wanted = [*deleted, *(origins[row.place] for row in rows if row.place in origins)]
        before = await self._before(relation, wanted) if wanted else {}
        found = []
        for row in rows:
            commit = self._log.commits[row.made_by]
            origin = origins.get(row.place)
            kind = ChangeKind.UPDATE if origin is not None else ChangeKind.INSERT
            old = before.get(str(origin)) if origin is not None else None
            found.append(self._change(kind, commit, table, row=row.content, before=old))
        for place, commit in deleted.items():
            found.append(self._change(ChangeKind.DELETE, commit, table, row=None, before=before.get(str(place))))
        unseen = sum(one.kind is not ChangeKind.INSERT and one.before is None for one in found)
        if unseen:
            self.notes.append(
                f"{self._name}: {table.schema}.{table.name}: of {counted(unseen, 'row')} it is not known what they were before"
            )
        return found

    def _change(self, kind: ChangeKind, commit: Any, table: Any, *, row: str | None, before: str | None) -> LostChange:
        return LostChange(
            transaction=commit.transaction,
            committed_at=commit.at,
            position=commit.position,
            kind=kind,
            database=self._name,
            schema=table.schema,
            table=table.name,
            row=row,
            before=before,
        )

    async def _before(self, relation: Relation, places: Sequence[Place]) -> Mapping[str, str]:
        """Rows as they are on the survivor, which stayed where they were as long as nobody changed them there."""
        if self._survivor is None or self._log.first is None:
            return {}
        try:
            table = await self._table(self._survivor, relation)
            if table is None:
                return {}
            async with asking(self._survivor, what="fork") as questions:
                rows = await questions.run(rows_at(table.schema, table.name), [str(one) for one in places], self._log.first)
        except DbreError as error:
            self.notes.append(f"the survivor was not asked for rows of {self._name}: {error.message}")
            return {}
        return {row.place: row.content for row in rows}

    async def _table(self, access: Access, relation: Relation) -> Any:
        async with asking(access, what="fork") as questions:
            rows = await questions.rows("fork_relation", relation.tablespace, relation.number)
        return rows[0] if rows else None
