"""``dbre backup``: sets: take one, list, show, hold; policies and what is due."""

import typer

__all__ = ["app"]

app = typer.Typer()
