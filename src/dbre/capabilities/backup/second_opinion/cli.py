"""``dbre backup``: repositories that other tools keep."""

import typer

__all__ = ["app"]

app = typer.Typer()
