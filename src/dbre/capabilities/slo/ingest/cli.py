"""``dbre ingest``: producers of events, and how far their events were counted; ``dbre slo latency``."""

from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.view import Column, Row, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.capabilities.slo.ingest.histogram import LatencyHistogram

__all__ = ["app", "latency"]

app = typer.Typer(help="Events of real traffic: who sends them, and how they are counted.", no_args_is_help=True)
producers = typer.Typer(help="Who may send events, each with a token.", no_args_is_help=True)
app.add_typer(producers, name="producer")

ProducerName = Annotated[str, typer.Argument(metavar="NAME", help="Of the sending service: checkout-service.")]
_QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)


@producers.command()
async def add(context: typer.Context, name: ProducerName) -> View:
    """Let a service send events; its token is shown this once."""
    from dbre.capabilities.slo.ingest.producers import add_producer
    from dbre.core.audit.log import AuditLog

    here = runtime(context)
    principal = await here.principal()
    async with here.open_store() as store:
        token = await add_producer(store, AuditLog(here.clock), here.clock, principal, name)
    columns = [Column(key="name", title="NAME"), Column(key="token", title="TOKEN")]
    return View(kind="Producer", items=[{"name": name, "token": token.reveal()}], columns=columns, single=True)


@producers.command("list")
async def list_all(context: typer.Context) -> View:
    """Every service that may send events, or might once."""
    from dbre.capabilities.slo.ingest.producers import list_producers

    async with runtime(context).open_store() as store, store.read() as connection:
        found = await list_producers(connection)
    rows: list[Row] = [
        {
            "name": one.name,
            "status": "valid" if one.revoked_at is None else "revoked",
            "created_at": one.created_at,
            "created_by": one.created_by,
            "revoked_at": one.revoked_at,
        }
        for one in found
    ]
    columns = [
        Column(key="name", title="NAME"),
        Column(key="status", title="STATUS"),
        Column(key="created_at", title="CREATED"),
        Column(key="created_by", title="BY"),
        Column(key="revoked_at", title="REVOKED", wide=True),
    ]
    return View(kind="ProducerList", items=rows, columns=columns, empty="no producers: dbre ingest producer add NAME")


@producers.command()
async def revoke(context: typer.Context, name: ProducerName) -> View:
    """End a service's token; the control plane refuses it after 5 s."""
    from dbre.capabilities.slo.ingest.producers import revoke_producer
    from dbre.core.audit.log import AuditLog

    here = runtime(context)
    principal = await here.principal()
    async with here.open_store() as store:
        is_changed = await revoke_producer(store, AuditLog(here.clock), here.clock, principal, name)
    row: Row = {"name": name, "status": "revoked" if is_changed else "already_revoked"}
    columns = [Column(key="name", title="NAME"), Column(key="status", title="STATUS")]
    return View(kind="ProducerChange", items=[row], columns=columns, single=True)


@app.command()
async def status(context: typer.Context) -> View:
    """The log of what was acknowledged, and how far the state store has counted it."""
    from dbre.capabilities.slo.ingest.documents import INGEST
    from dbre.capabilities.slo.ingest.place import log_directory
    from dbre.capabilities.slo.ingest.status import log_status, marks_of

    here = runtime(context)
    async with here.open_store() as store:
        directory = log_directory(here.config.get(INGEST), store.address, config_directory=here.config.directory)
        async with store.read() as connection:
            marks = await marks_of(connection)
    found = log_status(directory)
    row: Row = {
        "directory": str(directory),
        "segments": found.segments,
        "size_bytes": found.size_bytes,
        "free_bytes": found.free_bytes,
        "quarantined_segments": found.quarantined,
        "newest_record": found.newest_record,
        "counted_record": marks.counted,
        "latencies_record": marks.latencies,
        "counted_at": marks.counted_at,
    }
    columns = [Column(key=key, title=key.replace("_", " ").upper()) for key in row]
    return View(kind="IngestStatus", items=[row], columns=columns, single=True)


async def latency(
    context: typer.Context,
    slo: Annotated[str, typer.Argument(metavar="SLO@CLUSTER[/GROUP]", help="An SLO that counts events.")],
    *,
    last: Annotated[str, typer.Option("--last", metavar="TIME", help="How far back to look.")] = "1h",
    below: Annotated[
        list[str] | None, typer.Option("--below", metavar="TIME", help="What part took no longer; may be given again.")
    ] = None,
) -> View:
    """Percentiles of the durations of an SLO's events, and what part of them any limit would have allowed."""
    from dbre.core.units import parse_duration

    found = await _histogram(runtime(context), slo, int(parse_duration(last).total_seconds() // 60) or 1)
    rows: list[Row] = [{"what": f"p{ratio * 100:g}", "ms": found.quantile(ratio), "ratio": ratio} for ratio in _QUANTILES]
    for text in below or []:
        limit = parse_duration(text).total_seconds() * 1000
        least, most = found.at_most(limit)
        rows.append({"what": f"<= {text}", "ms": limit, "ratio": (least + most) / 2 / found.total})
    columns = [
        Column(key="what", title="PERCENTILE"),
        Column(key="ms", title="MS", format=lambda value: f"{value:.4g}"),
        Column(key="ratio", title="RATIO", format=lambda value: f"{value:.5g}"),
    ]
    return View(kind="SloLatency", items=rows, columns=columns)


async def _histogram(here: Runtime, name: str, minutes: int) -> "LatencyHistogram":
    """Raises: UsageError where no SLO has that name, or it has no durations."""
    from dbre.capabilities.slo import watched_definitions
    from dbre.capabilities.slo.ingest.latency_repository import read_latency
    from dbre.capabilities.slo.ingest.matching import Matcher
    from dbre.core.errors import UsageError

    target = Matcher(watched_definitions(here.config), here.fleet).named(name)
    if isinstance(target, str):
        raise UsageError(target, hint="dbre slo list; write SLO@CLUSTER")
    end = int(here.clock.now().timestamp()) // 60 + 1
    group = target.group if "/" in name else None
    async with here.open_store() as store, store.read() as connection:
        found = await read_latency(
            connection, slo=target.slo, cluster=target.cluster, group=group, since_minute=end - minutes, end_minute=end
        )
    if not found.total:
        raise UsageError(f"no durations of {name} were taken in during the last {minutes} min", hint="dbre ingest status")
    return found
