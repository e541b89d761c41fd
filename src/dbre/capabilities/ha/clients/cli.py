"""``dbre ha probe``: clients of a cluster, and the truth that they tell."""

from pathlib import Path
from typing import Annotated

import typer

from dbre.core.view import View
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer()


@app.command()
async def probe(
    ctx: typer.Context,
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")],
    *,
    duration: Annotated[str, typer.Option("--for", metavar="TIME", help="How long clients act; Ctrl-C ends it early.")] = "60s",
    rate: Annotated[float, typer.Option("--rate", metavar="N", help="Acts a second, of all clients together.")] = 50.0,
    mode: Annotated[
        str, typer.Option("--mode", metavar="open|closed", help="Open: on a schedule; closed: one after the other.")
    ] = "open",
    workload: Annotated[
        str, typer.Option("--workload", metavar="NAME", help="ledger, register, set; PostgreSQL: list-append, bank.")
    ] = "ledger",
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="What was promised, as of dbre check; default: the usual.")
    ] = None,
    isolation: Annotated[str, typer.Option("--isolation", metavar="LEVEL", help="Of transactions.")] = "serializable",
    history: Annotated[
        Path | None, typer.Option("--history", metavar="FILE", help="Where the history goes; default: probe-TIME.jsonl here.")
    ] = None,
    netns: Annotated[
        list[str] | None, typer.Option("--netns", metavar="NAME", help="Look from this network namespace; may be repeated.")
    ] = None,
    clients: Annotated[int, typer.Option("--clients", metavar="N", help="Processes of each vantage point.")] = 1,
    connections: Annotated[int, typer.Option("--connections", metavar="N", help="Connections of each process.")] = 4,
    deadline: Annotated[str, typer.Option("--deadline", metavar="TIME", help="Of one act.")] = "2s",
    connect_timeout: Annotated[str, typer.Option("--connect-timeout", metavar="TIME", help="Of one address.")] = "1s",
    settle: Annotated[
        str, typer.Option("--settle", metavar="TIME", help="How long to wait at the end for somebody who takes writes.")
    ] = "60s",
    address: Annotated[
        list[str] | None,
        typer.Option("--address", metavar="HOST:PORT", help="Go there instead, as to a pooler; may be repeated."),
    ] = None,
    objective: Annotated[
        float | None, typer.Option("--objective", metavar="PERCENT", help="Also say how much of its budget was spent.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the rows of the run in the database.")] = False,
) -> View:
    """Act as clients, then hold what was acknowledged against what is there: 0 ok, 3 anomalies, 9 unknown. It writes."""
    from dbre.capabilities.ha.clients.asking import spec_of
    from dbre.capabilities.ha.clients.running import run_probe
    from dbre.capabilities.ha.clients.view import ratio_of, truth_view

    parts = runtime(ctx)
    found = parts.fleet.cluster(cluster)
    ratio = ratio_of(objective)
    spec = spec_of(
        duration=duration,
        rate=rate,
        mode=mode,
        workload=workload,
        isolation=isolation,
        namespaces=netns or (),
        clients=clients,
        connections=connections,
        deadline=deadline,
        connect_timeout=connect_timeout,
        settle=settle,
        addresses=address or (),
        default_port=parts.engines.get(found.engine).default_port,
    )
    file = history or Path(f"probe-{parts.clock.now():%Y%m%dT%H%M%S}.jsonl")
    truth, notes = await run_probe(parts.clients, found, spec, history=file, model=model, keep=keep)
    return truth_view(truth, cluster=found.name, history=file, objective=ratio, notes=notes)
