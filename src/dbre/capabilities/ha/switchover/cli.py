"""``dbre ha switchover``: another instance becomes the primary of a cluster, as planned."""

from typing import Annotated

import typer

from dbre.core.operation.act import Act
from dbre.core.view import View
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer()

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]


@app.command()
async def switchover(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="INSTANCE", help="Who becomes primary. Default: the best candidate.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only look: every check with its remedy; ends with 3 where one is in the way.")
    ] = False,
) -> View | Act:
    """Make another instance the primary; nothing that was acknowledged is lost, or nothing happens.

    The old primary becomes a replica of the new one; the same command with --to leads back.
    """
    from dbre.capabilities.ha.switchover.view import done_view

    if not check:
        return Act(kind="ha.switchover", input={"cluster": cluster, "to": to}, view=done_view)
    from dbre.capabilities.ha.switchover.assessment import assess
    from dbre.capabilities.ha.switchover.building import ground_of_command
    from dbre.capabilities.ha.switchover.view import assessment_view

    parts = runtime(ctx)
    async with ground_of_command(parts) as ground:
        return assessment_view(await assess(ground, parts.fleet.cluster(cluster), to=to, purpose="dbre:switchover"))
