"""``dbre ha drill``: failovers on purpose, and what clients saw of them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.operation.act import Act
from dbre.core.view import Column, Row, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.core.operation.model import OperationRecord

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Failovers on purpose: what clients saw, and what the settings promise.")

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
Kind = Annotated[
    str,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="leader-crash, node-loss, freeze, patroni-freeze, black-hole, partition, dcs-loss, region-loss, planned.",
    ),
]


@app.command("run")
def run_drill(
    cluster: ClusterName,
    kind: Kind,
    *,
    runs: Annotated[int, typer.Option("--runs", metavar="N", help="How often, with the cluster whole in between.")] = 1,
    by: Annotated[
        str | None, typer.Option("--by", metavar="WHO", help="patroni or dbre. Default: Patroni where it runs the cluster.")
    ] = None,
    rate: Annotated[float, typer.Option("--rate", metavar="N", help="Acts of clients a second.")] = 50.0,
    limit: Annotated[str, typer.Option("--limit", metavar="TIME", help="Until another instance takes writes.")] = "2m",
    whole: Annotated[str, typer.Option("--whole", metavar="TIME", help="Until all replicas follow again.")] = "5m",
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="dcs-loss: how long the store is away.")] = "20s",
) -> Act:
    """Break the primary under clients at work: outage, lost writes, two primaries, promised against measured.

    Ends with 3 where something was lost, the old primary acknowledged after the promotion, or it took longer than promised.
    """
    asked: dict[str, Any] = {"cluster": cluster, "kind": kind, "runs": runs, "by": by, "rate": rate}
    return Act(kind="ha.drill", input={**asked, "limit": limit, "whole": whole, "lasts": lasts}, view=_done)


@app.command("list")
async def list_drills(
    ctx: typer.Context,
    *,
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="CLUSTER", help="Only of this one.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many.")] = 25,
) -> View:
    """Drills that were done, the newest first: median and longest outage, what was lost."""
    from dbre.capabilities.ha.drills.repository import list_runs
    from dbre.capabilities.ha.drills.summary import drill_row, summaries
    from dbre.capabilities.ha.drills.view import seconds

    parts = runtime(ctx)
    async with parts.open_store() as store, store.read() as connection:
        rows: list[Row] = [drill_row(one) for one in summaries(await list_runs(connection, cluster=cluster))]
    columns = [
        Column(key="id", title="DRILL", tail=True),
        Column(key="cluster", title="CLUSTER"),
        Column(key="kind", title="KIND"),
        Column(key="by", title="BY"),
        Column(key="runs", title="RUNS", right=True),
        Column(key="p50_seconds", title="P50", right=True, format=seconds),
        Column(key="max_seconds", title="MAX", right=True, format=seconds),
        Column(key="promised_seconds", title="PROMISED", right=True, format=seconds),
        Column(key="lost", title="LOST", right=True),
        Column(key="old_acknowledged", title="OLD ACKS", right=True),
        Column(key="began_at", title="BEGAN", format=lambda value: str(value)[:16].replace("T", " ") + "Z"),
    ]
    return View(kind="DrillList", items=rows[:limit], columns=columns, empty="no failover was drilled yet")


@app.command("show")
async def show_drill(
    ctx: typer.Context,
    drill: Annotated[str, typer.Argument(metavar="DRILL", help="Its id, or the end of it: dbre ha drill list.")],
) -> View:
    """Every run of one drill; ends with 3 where one showed what should not be."""
    from dbre.capabilities.ha.drills.repository import find_drill
    from dbre.capabilities.ha.drills.view import drill_view

    parts = runtime(ctx)
    async with parts.open_store() as store, store.read() as connection:
        found = await find_drill(connection, drill)
    return drill_view([one.run for one in found], operation=str(found[0].operation_id))


@app.command("check")
async def check_drills(ctx: typer.Context, cluster: ClusterName) -> View:
    """What drills say of a cluster as it is set now: never done, too old, or promised otherwise by now. Ends with 3 then."""
    from dbre.capabilities.ha.config_document import HA
    from dbre.capabilities.ha.drills.standing import look_at_drills
    from dbre.core.checks import Severity, exit_code_of

    parts = runtime(ctx)
    wanted = parts.fleet.cluster(cluster)
    async with parts.open_store() as store:
        told = (await look_at_drills(store, parts.config.get(HA), parts.clock, wanted)).findings
    rows: list[Row] = [
        {"rule": one.rule, "severity": one.severity.value, "finding": one.summary, "fix": one.fix} for one in told
    ]
    columns = [
        Column(key="severity", title="SEVERITY"),
        Column(key="rule", title="RULE"),
        Column(key="finding", title="FINDING", below=True),
        Column(key="fix", title="WHAT TO DO", below=True),
    ]
    code = exit_code_of(told, fail_on=Severity.WARNING)
    return View(
        kind="DrillFindingList",
        items=rows,
        columns=columns,
        empty="the drills are fresh, and say what the settings do",
        exit_code=code,
    )


def _done(record: "OperationRecord") -> View:
    from dbre.capabilities.ha.drills.view import done_view

    return done_view(record)
