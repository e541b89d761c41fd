"""``dbre backup``: what is kept and why."""

import typer

__all__ = ["app"]

app = typer.Typer()
