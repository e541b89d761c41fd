"""``dbre backup``: how long it would take."""

import typer

__all__ = ["app"]

app = typer.Typer()
