"""``dbre ha watchdog``: a process beside a server, which kills it when nobody vouches for it any more."""

from pathlib import Path
from typing import Annotated

import typer

from dbre.core.view import View
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer(help="A watchdog beside a server, without a device of the kernel.", no_args_is_help=True)


@app.command()
def patroni(
    *,
    device: Annotated[Path, typer.Option("--device", metavar="PIPE", help="Named pipe; as watchdog: device of Patroni.")],
    data_directory: Annotated[Path, typer.Option("--data-directory", metavar="DIRECTORY", help="Of the PostgreSQL server.")],
    timeout: Annotated[str, typer.Option("--timeout", metavar="TIME", help="Until Patroni says how long itself.")] = "15s",
) -> View:
    """Read the keepalives of Patroni (driver: testing), and kill PostgreSQL where they stay out; until Ctrl-C."""
    from dbre.capabilities.ha.watchdog.killing import see_directory
    from dbre.capabilities.ha.watchdog.running import make_pipe, watch_pipe
    from dbre.core.units import parse_duration

    seconds = parse_duration(timeout).total_seconds()
    directory = see_directory(data_directory)
    status = directory.stat()
    make_pipe(device, owner=status.st_uid, group=status.st_gid)
    watch_pipe(device, directory, timeout_seconds=seconds)
    return View(kind="Watchdog", items=[])


@app.command()
async def native(
    ctx: typer.Context,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help="The server beside which it runs.")],
    *,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST", help="Where datagrams arrive. Default: the host of the instance.")
    ] = None,
) -> View:
    """Kill a server that was the primary and that no majority of its observers has heard for the time of its fence."""
    import asyncio
    import threading

    from dbre.capabilities.ha.config_document import HA
    from dbre.capabilities.ha.watchdog.native import settings_of
    from dbre.capabilities.ha.watchdog.running import watch_vouching

    parts = runtime(ctx)
    found = await settings_of(parts.fleet, parts.config.get(HA), instance, listen=listen)
    over = threading.Event()
    try:
        await asyncio.to_thread(
            watch_vouching, found.address, found.directory, found.vouching, found.secret, is_over=over.is_set
        )
    finally:
        over.set()  # Ctrl-C: the thread ends at its next look
    return View(kind="Watchdog", items=[])
