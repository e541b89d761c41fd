"""``dbre backup``: every part adds its commands."""

import typer

from dbre.capabilities.backup.drilling.cli import app as drilling
from dbre.capabilities.backup.exposure.cli import app as exposure
from dbre.capabilities.backup.forecast.cli import app as forecast
from dbre.capabilities.backup.log.cli import app as log
from dbre.capabilities.backup.looking.cli import app as looking
from dbre.capabilities.backup.policy.cli import app as policy
from dbre.capabilities.backup.restoring.cli import app as restoring
from dbre.capabilities.backup.retention.cli import app as retention
from dbre.capabilities.backup.second_opinion.cli import app as second_opinion

__all__ = ["app"]

app = typer.Typer(help="Backups that are proved: copies, log, recovery, drills.", no_args_is_help=True)
for part in (policy, log, exposure, restoring, looking, drilling, forecast, retention, second_opinion):
    app.add_typer(part)
