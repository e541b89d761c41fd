"""``dbre upgrade``: the servers of a cluster restarted, one after the other, while clients go on."""

from typing import Annotated

import typer

from dbre.core.operation.act import Act
from dbre.core.view import View
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer(help="Restarts, settings and minor versions, server by server.", no_args_is_help=True)

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
InPlace = Annotated[
    bool, typer.Option("--in-place", help="Restart the primary as primary, instead of another one taking over.")
]
Back = Annotated[bool, typer.Option("--back", help="Make the primary of before primary again at the end.")]


@app.command()
async def status(ctx: typer.Context, cluster: ClusterName) -> View:
    """Only look: what runs, what is installed, what waits for a restart, what is in the way (then it ends with 3)."""
    from dbre.capabilities.upgrade.checks import checks_of
    from dbre.capabilities.upgrade.survey import survey
    from dbre.capabilities.upgrade.view import status_view

    parts = runtime(ctx)
    seen = await survey(parts.upgrades, parts.fleet.cluster(cluster), purpose="dbre:upgrade")
    return status_view(seen, checks_of(seen))


@app.command()
async def restart(cluster: ClusterName, *, in_place: InPlace = False, back: Back = False) -> Act:
    """Restart every server: replicas first, then another one becomes primary, then the primary of before."""
    from dbre.capabilities.upgrade.view import done_view

    return Act(kind="upgrade.restart", input={"cluster": cluster, "in_place": in_place, "back": back}, view=done_view)


@app.command()
async def parameters(
    cluster: ClusterName,
    assignments: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="shared_buffers=4GB")],
    *,
    in_place: InPlace = False,
    back: Back = False,
) -> Act:
    """Roll out settings that count after a restart; taken back where a server does not come up whole with them."""
    from dbre.capabilities.upgrade.view import done_view
    from dbre.core.errors import UsageError
    from dbre.core.text import quoted

    wanted: dict[str, str] = {}
    for one in assignments:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{quoted(one, limit=100)} is no assignment", hint="write shared_buffers=4GB")
        if name.strip() in wanted:
            raise UsageError(f"{quoted(name.strip(), limit=100)} is given twice", hint="name each parameter once")
        wanted[name.strip()] = value
    asked = {"cluster": cluster, "set": wanted, "in_place": in_place, "back": back}
    return Act(kind="upgrade.parameters", input=asked, view=done_view)


@app.command()
async def minor(cluster: ClusterName, *, in_place: InPlace = False, back: Back = False) -> Act:
    """Run the installed minor version: programs replaced beforehand, or by the commands of the configuration."""
    from dbre.capabilities.upgrade.view import done_view

    return Act(kind="upgrade.minor", input={"cluster": cluster, "in_place": in_place, "back": back}, view=done_view)
