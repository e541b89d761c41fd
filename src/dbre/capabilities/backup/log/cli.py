"""``dbre backup``: the stream of changes: where it stands, gaps, the archive client."""

import typer

__all__ = ["app"]

app = typer.Typer()
