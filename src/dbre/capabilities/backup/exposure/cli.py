"""``dbre backup``: how much would be lost now."""

import typer

__all__ = ["app"]

app = typer.Typer()
