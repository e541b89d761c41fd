"""``dbre chaos``: every part adds its commands."""

import typer

from dbre.capabilities.chaos.injection.cli import app as injection
from dbre.capabilities.chaos.preflight.cli import app as preflight
from dbre.capabilities.chaos.proxy.cli import app as proxy
from dbre.capabilities.chaos.runs.cli import app as runs
from dbre.capabilities.chaos.suite.cli import app as suite
from dbre.capabilities.chaos.switching.cli import app as switching

__all__ = ["app"]

app = typer.Typer(help="Faults on purpose: with a lease, and proof that they are gone.", no_args_is_help=True)
app.add_typer(injection)
app.add_typer(preflight)
app.add_typer(runs)
app.add_typer(switching)
app.add_typer(suite, name="suite")
app.add_typer(proxy, name="proxy")
