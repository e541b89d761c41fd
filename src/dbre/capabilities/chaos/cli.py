"""``dbre chaos``: every part adds its commands."""

import typer

from dbre.capabilities.chaos.injection.cli import app as injection
from dbre.capabilities.chaos.proxy.cli import app as proxy

__all__ = ["app"]

app = typer.Typer(help="Faults on purpose: with a lease, and proof that they are gone.", no_args_is_help=True)
app.add_typer(injection)
app.add_typer(proxy, name="proxy")
