"""``dbre vault``: places where backups lie."""

import typer

__all__ = ["app"]

app = typer.Typer(help="Vaults: encrypted, append-only places where backups lie.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Vaults: encrypted, append-only places where backups lie."""
