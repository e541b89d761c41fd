"""``dbre backup``: bring a moment back."""

import typer

__all__ = ["app"]

app = typer.Typer()
