"""``dbre lab start|stop``: one server of a lab, as the operator of a real one would by hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.view import View

if TYPE_CHECKING:  # for annotations only: help must stay cheap
    from dbre.lab.server import LabServer

__all__ = ["app"]

app = typer.Typer()

ServerName = Annotated[str, typer.Argument(metavar="SERVER", help="A server of the lab: lab-1.")]
NameOption = Annotated[str, typer.Option("--name", help="Name of the lab.")]
DirectoryOption = Annotated[Path | None, typer.Option("--directory", help="Where the lab lives, if not in the default place.")]


@app.command()
async def start(server: ServerName, name: NameOption = "lab", directory: DirectoryOption = None) -> View:
    """Start one server of a lab again, and wait until it answers; nothing where it runs."""
    from dbre.lab import Lab

    one = Lab.open(name, directory).server(server)
    was_running = one.is_running
    await one.start()
    return _view(one, "ran already" if was_running else "runs")


@app.command()
async def stop(server: ServerName, name: NameOption = "lab", directory: DirectoryOption = None) -> View:
    """Stop one server of a lab in order, and wait until no process is left; its data stays."""
    from dbre.lab import Lab

    one = Lab.open(name, directory).server(server)
    await one.stop()
    return _view(one, "is stopped")


def _view(server: "LabServer", state: str) -> View:
    document = {"server": server.name, "is_running": server.is_running, "pid": server.pid}
    return View(kind="LabServer", items=[document], single=True, text=f"{server.name} {state}\n")
