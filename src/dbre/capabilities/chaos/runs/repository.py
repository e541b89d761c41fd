"""Runs in the state store: written by the experiment while it goes on, read by reports, scores and pages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, insert, or_, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.chaos.runs.model import Run, RunState
from dbre.capabilities.chaos.tables import chaos_run
from dbre.core.errors import UsageError
from dbre.core.store import Store
from dbre.core.text import quoted

__all__ = ["NoSuchRun", "begin_run", "find_run", "keep_surroundings", "list_runs", "note_run", "previous_run", "unfinished"]

_row = chaos_run.c
_MOST = 500


class NoSuchRun(UsageError):
    """No experiment of that id was run."""

    code = "chaos.no_such_run"


async def begin_run(store: Store, run: Run) -> None:
    """Keep a run whose first fault is about to come; again for the same operation: nothing changes."""

    async def write(connection: AsyncConnection) -> None:
        if (await connection.execute(select(_row.id).where(_row.id == run.id))).first() is None:
            await connection.execute(insert(chaos_run).values(_values(run)))

    await store.grouped(write)


async def note_run(
    store: Store, run_id: UUID, observed: Mapping[str, Any], *, state: RunState | None = None, ended_at: datetime | None = None
) -> None:
    """Add what was observed. The first word about how it ended stays, unless it was only that it runs."""

    async def write(connection: AsyncConnection) -> None:
        found = (await connection.execute(select(_row.observed, _row.state).where(_row.id == run_id))).first()
        if found is None:
            return
        values: dict[str, Any] = {"observed": {**found.observed, **observed}}
        if state is not None and found.state == RunState.RUNNING.value:
            values["state"] = state.value
        if ended_at is not None:
            values["ended_at"] = ended_at
        await connection.execute(update(chaos_run).where(_row.id == run_id).values(values))

    await store.grouped(write)


async def keep_surroundings(store: Store, run_id: UUID, found: Mapping[str, Any], *, is_final: bool) -> None:
    """Keep what SLOs and incidents said of its time."""

    async def write(connection: AsyncConnection) -> None:
        values = {"surroundings": dict(found), "is_final": is_final}
        await connection.execute(update(chaos_run).where(_row.id == run_id).values(values))

    await store.grouped(write)


async def list_runs(
    connection: AsyncConnection,
    *,
    cluster: str | None = None,
    entry: str | None = None,
    before: datetime | None = None,
    suite_id: UUID | None = None,
    limit: int = 50,
) -> list[Run]:
    """Runs, the newest first."""
    conditions: list[ColumnElement[bool]] = []
    if cluster is not None:
        conditions.append(_row.cluster == cluster)
    if entry is not None:
        conditions.append(_row.entry == entry)
    if before is not None:
        conditions.append(_row.began_at < before)
    if suite_id is not None:
        conditions.append(_row.suite_id == suite_id)
    wanted = select(chaos_run).where(*conditions).order_by(_row.began_at.desc(), _row.id.desc()).limit(min(limit, _MOST))
    return [_run(row) for row in await connection.execute(wanted)]


async def find_run(connection: AsyncConnection, text: str) -> Run:
    """The run of an id, or of its first or last characters. Raises: NoSuchRun, also where several fit."""
    part = text.strip().lower()
    hint = "dbre chaos runs"
    if len(part) < 4:
        raise NoSuchRun(f"{quoted(text, limit=60)} is too short for the id of a run", hint=hint)
    text_id = type_coerce(_row.id, Text)
    fits = or_(text_id.startswith(part, autoescape=True), text_id.endswith(part, autoescape=True))
    found = (await connection.execute(select(chaos_run).where(fits).limit(2))).all()
    if not found:
        raise NoSuchRun(f"no experiment {quoted(text, limit=60)} was run", hint=hint)
    if len(found) > 1:
        raise NoSuchRun(f"several runs begin or end with {quoted(text, limit=60)}", hint="give more of the id: " + hint)
    return _run(found[0])


async def previous_run(connection: AsyncConnection, run: Run) -> Run | None:
    """The last one before it on the same cluster that asked the same."""
    for one in await list_runs(connection, cluster=run.cluster, before=run.began_at, limit=_MOST):
        is_alike = one.entry == run.entry if run.entry is not None else one.title == run.title
        if is_alike and one.state.is_evidence:
            return one
    return None


async def unfinished(connection: AsyncConnection, *, ended_before: datetime) -> list[Run]:
    """Runs that ended, and whose surroundings are not final."""
    wanted = select(chaos_run).where(_row.is_final.is_(False), _row.ended_at.is_not(None), _row.ended_at <= ended_before)
    return [_run(row) for row in await connection.execute(wanted.order_by(_row.began_at).limit(_MOST))]


def _values(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "suite_id": run.suite_id,
        "cluster": run.cluster,
        "title": run.title,
        "entry": run.entry,
        "state": run.state.value,
        "began_at": run.began_at,
        "ended_at": run.ended_at,
        "experiment": dict(run.experiment),
        "observed": dict(run.observed),
        "surroundings": run.surroundings,
        "is_final": run.is_final,
    }


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        suite_id=row.suite_id,
        cluster=row.cluster,
        title=row.title,
        entry=row.entry,
        state=RunState(row.state),
        began_at=row.began_at,
        ended_at=row.ended_at,
        experiment=row.experiment,
        observed=row.observed,
        surroundings=row.surroundings,
        is_final=row.is_final,
    )
