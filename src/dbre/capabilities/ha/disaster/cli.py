"""``dbre ha dr``: plans for the loss of a whole site."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.operation.act import Act
from dbre.core.view import View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.core.operation.model import OperationRecord

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The loss of a whole site: the plan, its rehearsal, and what is done then.")

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
ToSite = Annotated[
    str | None, typer.Option("--to", metavar="SITE", help="The site that takes over. Default: the first other one.")
]


@app.command()
async def show(ctx: typer.Context, cluster: ClusterName, *, to: ToSite = None) -> View:
    """Who is where, who would take over, what that would lose, and what was promised and done."""
    from dbre.capabilities.ha.disaster.building import ground_of_command
    from dbre.capabilities.ha.disaster.surveying import look
    from dbre.capabilities.ha.disaster.view import plan_view

    parts = runtime(ctx)
    async with ground_of_command(parts) as ground:
        wanted = parts.fleet.cluster(cluster)
        return plan_view(await look(ground, wanted, ground.plan_of(wanted), to=to))


@app.command()
async def check(ctx: typer.Context, cluster: ClusterName, *, to: ToSite = None) -> View:
    """Whether the plan would hold now, against the live cluster; changes nothing. Ends with 3 where it would not."""
    from dbre.capabilities.ha.disaster.building import ground_of_command
    from dbre.capabilities.ha.disaster.rules import checks_of
    from dbre.capabilities.ha.disaster.surveying import look
    from dbre.capabilities.ha.disaster.view import check_view

    parts = runtime(ctx)
    async with ground_of_command(parts) as ground:
        wanted = parts.fleet.cluster(cluster)
        found = await look(ground, wanted, ground.plan_of(wanted), to=to)
        return check_view(checks_of(found, now=parts.clock.now()), kind="DisasterCheckList", found=found)


@app.command()
def rehearse(cluster: ClusterName, *, to: ToSite = None) -> Act:
    """Everything but the promotion: fences tried, records turned and back, writes proved; what was found is kept.

    Ends with 3 where something would not have worked.
    """
    return Act(kind="ha.dr_rehearse", input={"cluster": cluster, "to": to}, view=_done)


@app.command()
def switch(cluster: ClusterName, *, to: ToSite = None) -> Act:
    """Move the primary to another site as planned; nothing is lost, or nothing happens."""
    return Act(kind="ha.dr_switch", input={"cluster": cluster, "to": to}, view=_done)


@app.command()
async def failover(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="INSTANCE", help="Promote this one. Default: the one that loses least.")
    ] = None,
    primary: Annotated[
        str | None, typer.Option("--from", metavar="INSTANCE", help="Who was primary, where nobody can tell.")
    ] = None,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Whatever is lost, also where nobody knows how much.")
    ] = False,
    attested_by: Annotated[
        str | None, typer.Option("--attested-by", metavar="NAME", help="Who vouches that the site is dead, where no fence can.")
    ] = None,
    because: Annotated[str | None, typer.Option("--because", metavar="TEXT", help="How that person knows.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only show what speaks for and against it; ends with 3 where something forbids it.")
    ] = False,
) -> Act | View:
    """The site of the primary is lost: fence all of it, or take a person's word, and promote at another site.

    Refuses while anything of the site answers. The loss is shown before it is confirmed.
    """
    asked: dict[str, Any] = {"cluster": cluster, "to": to, "primary": primary, "accept_loss": accept_loss}
    asked |= {"attested_by": attested_by, "attested": because}
    if not check:
        return Act(kind="ha.dr_failover", input=asked, view=_done)
    from dbre.capabilities.ha.disaster.building import ground_of_command
    from dbre.capabilities.ha.disaster.documents import SiteFailoverInput
    from dbre.capabilities.ha.disaster.operations.fail_site_over import FailSiteOver
    from dbre.capabilities.ha.disaster.view import check_view

    async with ground_of_command(runtime(ctx)) as ground:
        found = await FailSiteOver(ground).survey(SiteFailoverInput.model_validate(asked))
        return check_view(found.decision.reasons, kind="FailoverReasonList")


@app.command()
def failback(
    cluster: ClusterName,
    *,
    without_evidence: Annotated[
        bool, typer.Option("--without-evidence", help="Do not write what only an instance committed to a file first.")
    ] = False,
    patience: Annotated[
        str, typer.Option("--patience", metavar="TIME", help="How long who comes home may take to catch up once it follows.")
    ] = "4h",
) -> Act:
    """Let everybody follow again, and lead the primary home, with every check of a planned change."""
    from dbre.core.units import parse_duration

    seconds = parse_duration(patience).total_seconds()
    asked = {"cluster": cluster, "without_evidence": without_evidence, "patience_seconds": seconds}
    return Act(kind="ha.dr_failback", input=asked, view=_done)


@app.command("list")
async def list_disasters(
    ctx: typer.Context,
    *,
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="CLUSTER", help="Only of this one.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="How many.")] = 25,
) -> View:
    """Rehearsals, switches, failovers and failbacks, the newest first: promised against measured."""
    from dbre.capabilities.ha.disaster.repository import list_runs
    from dbre.capabilities.ha.disaster.view import run_list_view

    parts = runtime(ctx)
    if cluster is not None:
        parts.fleet.cluster(cluster)
    async with parts.open_store() as store, store.read() as connection:
        return run_list_view(await list_runs(connection, cluster=cluster, limit=limit))


def _done(record: "OperationRecord") -> View:
    from dbre.capabilities.ha.disaster.view import done_view

    return done_view(record)
