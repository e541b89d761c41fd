"""``dbre ha lost-writes``: the rows that an old primary acknowledged and nobody else has."""

from pathlib import Path
from typing import Annotated

import typer

from dbre.core.view import View
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer()


@app.command(name="lost-writes")
async def lost_writes(
    ctx: typer.Context,
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")],
    *,
    file: Annotated[Path, typer.Option("--file", metavar="FILE", help="A new file for the rows, one line of JSON each.")],
    instance: Annotated[
        str | None, typer.Option("--instance", metavar="NAME", help="The old primary; its directory is that of its control.")
    ] = None,
    data_directory: Annotated[
        Path | None, typer.Option("--data-directory", metavar="DIR", help="The data directory of the old primary, or a copy.")
    ] = None,
    fork: Annotated[
        str | None,
        typer.Option("--fork", metavar="POSITION", help="Where the histories parted; default: as the primary of today says."),
    ] = None,
    work: Annotated[
        Path | None, typer.Option("--work", metavar="DIR", help="Room for a copy of the directory; default: the temporary one.")
    ] = None,
) -> View:
    """Write the rows of a history that was left behind to a file; ends with 3 where there are any. Changes no server."""
    import os

    from dbre.capabilities.ha.forks.extracting import directory_of, find_survivor, instance_of, write_lost
    from dbre.capabilities.ha.forks.view import lost_view
    from dbre.core.errors import PrecheckFailed
    from dbre.core.programs.account import choose_account
    from dbre.core.programs.cache import cache_directory
    from dbre.ports.backup.model import Place
    from dbre.ports.forks import ForkOrder

    parts = runtime(ctx)
    found = parts.fleet.cluster(cluster)
    old = instance_of(found, instance) if instance is not None else None
    account = choose_account(os.environ)
    forks = parts.engines.get(found.engine).forks(Place(account=account, cache=cache_directory(account, os.environ)))
    directory = directory_of(found, old, data_directory)
    if file.exists():
        raise PrecheckFailed(f"{file} is there already", hint="name a file that is not there yet")
    survivor = await find_survivor(parts.engines, found, old) if fork is None else None
    lost = await forks.lost_writes(ForkOrder(directory=directory, survivor=survivor, fork=fork, work=work))
    return lost_view(lost, write_lost(lost, file, cluster=found.name), cluster=found.name)
