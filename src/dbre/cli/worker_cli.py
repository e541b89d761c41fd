"""``dbre worker``: run operations in this process, and see who else does."""

from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.view import Column, Row, View

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from dbre.core.operation.workers import WorkerStatus, ZoneStatus

__all__ = ["app"]

app = typer.Typer(invoke_without_command=True, help="Run operations in this process; list workers.")

_WORKER_COLUMNS = (
    Column(key="zone", title="ZONE"),
    Column(key="id", title="WORKER"),
    Column(key="state", title="STATE"),
    Column(key="running_count", title="RUNNING", right=True),
    Column(key="started_at", title="STARTED"),
    Column(key="heartbeat_at", title="HEARTBEAT"),
    Column(key="version", title="VERSION"),
    Column(key="host", title="HOST", wide=True),
    Column(key="pid", title="PID", right=True, wide=True),
)
_ZONE_COLUMNS = (
    Column(key="zone", title="ZONE"),
    Column(key="live_workers", title="LIVE WORKERS", right=True),
    Column(key="queued_count", title="QUEUED", right=True),
    Column(key="running_count", title="RUNNING", right=True),
)

Zone = Annotated[str | None, typer.Option("--zone", help="Run operations of this zone only. Default: those without zone.")]
Concurrency = Annotated[
    int | None,
    typer.Option("--concurrency", min=1, max=1000, help="Operations at the same time. Default: the configuration's."),
]


@app.callback()
def worker(ctx: typer.Context, zone: Zone = None, concurrency: Concurrency = None) -> None:
    """Run operations in this process; list workers.

    Without a command it runs until SIGTERM or Ctrl-C: then it takes nothing more, lets what runs go on for operations.grace,
    and leaves the rest to other workers without undoing it.
    """
    if ctx.invoked_subcommand is None:
        import asyncio

        asyncio.run(_run(ctx, zone, concurrency))


@app.command()
async def run(ctx: typer.Context, zone: Zone = None, concurrency: Concurrency = None) -> None:
    """Run operations until told to stop; the same as dbre worker alone."""
    await _run(ctx, zone, concurrency)


async def _run(ctx: typer.Context, zone: str | None, concurrency: int | None) -> None:
    from dbre.ports.runtime import runtime

    await runtime(ctx).work(zone=zone, concurrency=concurrency)


@app.command("list")
async def list_(
    ctx: typer.Context,
    everyone: Annotated[bool, typer.Option("--all", help="Also workers that have gone within the last day.")] = False,
) -> View:
    """Show the workers that live, and tell if the broker does not answer."""
    from dbre.core.operation.lease import LeaseClock
    from dbre.core.operation.workers import workers
    from dbre.ports.runtime import runtime

    here = runtime(ctx)
    async with here.open_remote() as remote:
        if remote is not None:
            rows = [_remote_row(one) for one in await remote.items("/workers") if everyone or one.get("is_alive")]
            return View(kind="WorkerList", items=rows, columns=_WORKER_COLUMNS, empty="no worker lives")
    async with here.open_store() as store, store.read() as connection:
        found = await workers(connection, LeaseClock(store))
    await _tell_of_broker(ctx)
    shown = [_worker_row(one) for one in found if everyone or one.is_alive]
    empty = "no worker lives: dbre server or dbre worker would be one"
    return View(kind="WorkerList", items=shown, columns=_WORKER_COLUMNS, empty=empty)


@app.command()
async def zones(ctx: typer.Context) -> View:
    """Show what waits in each zone, and how many workers live there."""
    from dbre.core.operation.lease import LeaseClock
    from dbre.core.operation.workers import zones as find
    from dbre.core.progress import report
    from dbre.ports.runtime import runtime

    here = runtime(ctx)
    async with here.open_remote() as remote:
        if remote is not None:
            rows = list(await remote.items("/zones"))
            return View(kind="ZoneList", items=rows, columns=_ZONE_COLUMNS, empty="no worker lives, and nothing waits")
    async with here.open_store() as store, store.read() as connection:
        found = await find(connection, LeaseClock(store))
    for one in found:
        if one.queued_count and not one.live_workers:
            name = f"zone {one.zone}" if one.zone else "the zone without name"
            start = f"dbre worker --zone {one.zone}" if one.zone else "dbre server or dbre worker"
            report(f"warning: {one.queued_count} operations wait in {name}, where no worker lives; start one: {start}")
    await _tell_of_broker(ctx)
    empty = "no worker lives, and nothing waits"
    return View(kind="ZoneList", items=[_zone_row(one) for one in found], columns=_ZONE_COLUMNS, empty=empty)


async def _tell_of_broker(ctx: typer.Context) -> None:
    import asyncio

    from dbre.core.errors import Unsupported
    from dbre.core.operation.celery_extra import needs_celery
    from dbre.core.operation.document import OPERATIONS
    from dbre.core.progress import report
    from dbre.ports.runtime import runtime

    broker = runtime(ctx).config.get(OPERATIONS).carried_by
    if broker is None:
        return
    try:
        with needs_celery():
            from dbre.core.operation.celery_dispatch.publisher import check_broker
    except Unsupported as error:
        report(f"warning: whether broker {broker.url} answers is not known: {error.message}; {error.hint}")
        return
    password = None if broker.password is None else await broker.password.resolve()
    problem = await asyncio.to_thread(check_broker, broker, password)
    if problem is not None:
        report(f"warning: broker {broker.url} does not answer: {problem}; operations wait in the state store until it does")


def _worker_row(one: "WorkerStatus") -> Row:
    return {
        "zone": one.zone,
        "id": one.id,
        "state": "alive" if one.is_alive else "gone",
        "running_count": one.running_count,
        "started_at": one.started_at,
        "heartbeat_at": one.heartbeat_at,
        "version": one.version,
        "host": one.host,
        "pid": one.pid,
    }


def _remote_row(item: Row) -> Row:
    from dbre.core.moments import moment_from

    row = {key: item.get(key) for key in ("zone", "id", "running_count", "version", "host", "pid")}
    row |= {key: moment_from(item.get(key)) for key in ("started_at", "heartbeat_at")}
    return row | {"state": "alive" if item.get("is_alive") else "gone"}


def _zone_row(one: "ZoneStatus") -> Row:
    return {
        "zone": one.zone,
        "live_workers": one.live_workers,
        "queued_count": one.queued_count,
        "running_count": one.running_count,
    }
