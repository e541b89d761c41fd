"""``dbre backup time-machine`` and ``diff``: look at a moment without changing anything."""

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.capabilities.backup.restoring.cli import ClusterName, LossOption, SetOption, VaultOption, with_target
from dbre.core.progress import report
from dbre.core.view import Column, Row, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.capabilities.backup.restoring.recovering import Recovered
    from dbre.capabilities.backup.restoring.target import TargetText
    from dbre.capabilities.backup.restoring.telling import Tell
    from dbre.ports.backup.tables import RowChange

__all__ = ["app", "reporting"]

_SHOWN_BYTES = 64 * 2**20
_SHOWN_PARTS = 5


app = typer.Typer()


@app.command("time-machine")
@with_target
async def time_machine(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    target: "TargetText",
    vault: VaultOption = None,
    set_id: SetOption = None,
    accept_loss: LossOption = False,
) -> View:
    """A read-only server as of a moment, on this machine and without network, until Ctrl-C."""
    from dbre.capabilities.backup.restoring.request import Asked
    from dbre.capabilities.backup.restoring.restore_plan import target_words
    from dbre.capabilities.backup.restoring.scratch import planned_moment, scratch_moment
    from dbre.capabilities.backup.restoring.target import parse_target
    from dbre.capabilities.backup.restoring.telling import ending_words

    parts = runtime(ctx)
    wanted = parse_target(target, now=parts.clock.now())
    parts.fleet.cluster(cluster)
    async with parts.open_store() as store:
        ground = parts.backups(store)
        asked = Asked(cluster=cluster, target=wanted, vault=vault, set_id=set_id, accept_loss=accept_loss)
        plan = await planned_moment(ground, asked)
        for problem in plan.problems:
            report(problem.message)
        report(f"bringing back {cluster} as of {target_words(plan.asked)} from set {plan.newest.id}")
        async with scratch_moment(ground, plan, tell=reporting()) as found:
            row = _connection(found)
            report(ending_words(found.server.outcome))
            report(
                f"connect as {ground.place.account.name} or root: socket {row['host']}, port {row['port']}, user {row['user']}"
            )
            report("read-only; Ctrl-C ends it and removes all of it")
            await _interrupted()
            report("removing it")
    return View(kind="TimeMachine", items=[row], single=True)


def reporting() -> "Tell":
    """Progress as lines: where a phase begins, and now and then within it."""
    from dbre.core.units import format_bytes

    last: dict[str, int] = {}

    async def tell(phase: str, done: int, total: int | None) -> None:
        done = done if total is None else min(done, total)  # a total is what is expected, to within what was added meanwhile
        far = max(_SHOWN_BYTES, (total or 0) // _SHOWN_PARTS)
        if phase in last and (done == last[phase] or (done - last[phase] < far and done != total)):
            return
        last[phase] = done
        report(f"{phase}: {format_bytes(done)}" + (f" of {format_bytes(total)}" if total else ""))

    return tell


def _connection(found: "Recovered") -> Row:
    from dbre.core.text import printable

    access, outcome = found.server.access, found.server.outcome
    return {
        "host": access.address.host,
        "port": access.address.port,
        "user": access.user,
        "position": outcome.position.text if outcome.position else None,
        "last_commit_at": outcome.last_commit_at.isoformat() if outcome.last_commit_at else None,
        "is_jailed": outcome.is_jailed,
        "reason": printable(outcome.reason, limit=300),
        "seconds": round(sum(one.seconds for one in found.phases), 3),
    }


async def _interrupted() -> None:
    """Wait for Ctrl-C, or for being asked to end; both are the ordinary end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        await ended.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@app.command()
@with_target
async def diff(
    ctx: typer.Context,
    cluster: ClusterName,
    table: Annotated[str, typer.Argument(metavar="TABLE", help='orders, sales.orders, "My Table".')],
    *,
    target: "TargetText",
    vault: VaultOption = None,
    accept_loss: LossOption = False,
    database: Annotated[str | None, typer.Option("--database", metavar="NAME", help="Default: the cluster's first.")] = None,
    rows: Annotated[int, typer.Option("--rows", min=0, max=100_000, help="Show at most this many rows; all are counted.")] = 50,
) -> View:
    """Rows of a table as of a moment against those of now, by primary key: deleted, inserted and updated since."""
    from dbre.capabilities.backup.restoring.living import find_primary_access, patient, table_copies_of
    from dbre.capabilities.backup.restoring.request import Asked
    from dbre.capabilities.backup.restoring.scratch import planned_moment, scratch_moment
    from dbre.capabilities.backup.restoring.target import parse_target

    parts = runtime(ctx)
    wanted = parse_target(target, now=parts.clock.now())
    found = parts.fleet.cluster(cluster)
    async with parts.open_store() as store:
        ground = parts.backups(store)
        copies = table_copies_of(ground, found)
        name = copies.parse_name(table)
        chosen = database or (found.databases[0] if found.databases else None)
        living = patient(await find_primary_access(ground, found, purpose="dbre:backup.diff"), database=chosen)
        await copies.require_comparable(living, name)
        plan = await planned_moment(ground, Asked(cluster=cluster, target=wanted, vault=vault, accept_loss=accept_loss))
        for problem in plan.problems:
            report(problem.message)
        async with scratch_moment(ground, plan, tell=reporting()) as moment:
            then = patient(moment.server.access, database=living.database)
            changes = await copies.changes(then, living, name, limit=rows)
    counted = f"{changes.deleted} deleted, {changes.inserted} inserted, {changes.updated} updated since"
    notes = [f"{changes.rows_then} rows then, {changes.rows_now} now: {counted}"]
    shown = len(changes.shown)
    if shown < changes.deleted + changes.inserted + changes.updated:
        notes.append(f"the first {shown} are shown; --rows shows more")
    for words, columns in (("then", changes.columns_only_then), ("now", changes.columns_only_now)):
        if columns:
            notes.append(f"columns only {words}, not compared: {', '.join(columns)}")
    return View(
        kind="RowChangeList",
        items=[_row(one) for one in changes.shown],
        columns=[
            Column(key="what", title="SINCE THEN"),
            Column(key="key", title="KEY", format=_values),
            Column(key="then", title="THEN", format=_values),
            Column(key="now", title="NOW", format=_values),
        ],
        notes=notes,
        empty="the table has the same rows as then",
    )


def _row(one: "RowChange") -> Row:
    return {"what": one.what.value, "key": dict(one.key), "then": dict(one.then), "now": dict(one.now)}


def _values(value: object) -> str:
    from dbre.core.text import printable

    if not isinstance(value, dict) or not value:
        return "-"
    parts = (f"{name}={'NULL' if text is None else printable(str(text), limit=60)}" for name, text in value.items())
    return printable(", ".join(parts), limit=300)
