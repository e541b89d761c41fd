"""``dbre backup``: prove it."""

import typer

__all__ = ["app"]

app = typer.Typer()
