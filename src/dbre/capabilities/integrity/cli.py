"""``dbre integrity``: rows, pages and indexes."""

import typer

__all__ = ["app"]

app = typer.Typer(help="Rows, pages and indexes: compared and checked.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Rows, pages and indexes: compared and checked."""
