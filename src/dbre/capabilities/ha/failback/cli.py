"""``dbre ha failback``: the primary of before becomes primary again."""

from typing import Annotated

import typer

from dbre.capabilities.ha.rejoin.cli import Clone, ClusterName, WithoutEvidence, Work
from dbre.core.operation.act import Act
from dbre.core.view import View
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer()


@app.command()
async def failback(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="INSTANCE", help="Who becomes primary again. Default: whom the primary took over from."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only look: who, by which parts, and what is in the way; ends with 3 where it is.")
    ] = False,
    patience: Annotated[
        str, typer.Option("--patience", metavar="TIME", help="How long it may take to catch up once it follows.")
    ] = "1h",
    clone: Clone = False,
    without_evidence: WithoutEvidence = False,
    work: Work = None,
) -> View | Act:
    """Make the primary of before primary again: it rejoins, catches up, and the primary is changed as planned.

    Each part is an operation of its own. Until the last one clients notice nothing.
    """
    from dbre.capabilities.ha.failback.view import check_view, done_view
    from dbre.core.units import parse_duration

    asked = {
        "cluster": cluster,
        "to": to,
        "patience_seconds": parse_duration(patience).total_seconds(),
        "clone": clone,
        "without_evidence": without_evidence,
        "work": work,
    }
    if not check:
        return Act(kind="ha.failback", input=asked, view=done_view)
    from dbre.capabilities.ha.failback.building import ground_of_command
    from dbre.capabilities.ha.failback.document import FailbackInput
    from dbre.capabilities.ha.failback.surveying import survey

    parts = runtime(ctx)
    wanted = FailbackInput.model_validate(asked)
    async with ground_of_command(parts) as ground:
        seen = await survey(ground, parts.fleet.cluster(cluster), wanted, purpose="dbre:failback")
        return check_view(seen, wanted, ground.rejoins.servers.limits(cluster))
