"""``dbre ha``: who is primary and who follows, and the commands that change it, each in a module of its own."""

from typing import Annotated

import typer

from dbre.capabilities.ha.client_settings.cli import app as client_settings_app
from dbre.capabilities.ha.clients.cli import app as clients_app
from dbre.capabilities.ha.detection.cli import app as detection_app
from dbre.capabilities.ha.disaster.cli import app as disaster_app
from dbre.capabilities.ha.drills.cli import app as drill_app
from dbre.capabilities.ha.failback.cli import app as failback_app
from dbre.capabilities.ha.failover.cli import app as failover_app
from dbre.capabilities.ha.forks.cli import app as forks_app
from dbre.capabilities.ha.patroni.cli import app as patroni_app
from dbre.capabilities.ha.rejoin.cli import app as rejoin_app
from dbre.capabilities.ha.route.cli import app as route_app
from dbre.capabilities.ha.switchover.cli import app as switchover_app
from dbre.capabilities.ha.watchdog.cli import app as watchdog_app
from dbre.core.view import View
from dbre.ports.kept import kept
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer(
    help="High availability: topology, switchover, failover, drills, what clients saw.",
    no_args_is_help=True,
)
app.add_typer(client_settings_app)
app.add_typer(clients_app)
app.add_typer(forks_app)
app.add_typer(detection_app)
app.add_typer(failover_app)
app.add_typer(drill_app, name="drill")
app.add_typer(disaster_app, name="dr")
app.add_typer(watchdog_app, name="watchdog")
app.add_typer(route_app)
app.add_typer(patroni_app)
app.add_typer(switchover_app)
app.add_typer(rejoin_app)
app.add_typer(failback_app)

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]


@app.command()
async def status(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    seed: Annotated[
        str | None, typer.Option("--seed", metavar="INSTANCE", help="Begin at this one alone; default: at every instance.")
    ] = None,
    slot_limit: Annotated[
        str, typer.Option("--slot-limit", metavar="BYTES", help="What a slot that nobody uses may keep of the log.")
    ] = "1GiB",
) -> View:
    """The live topology and what is wrong with it; ends with 3 for a finding from warning on, 6 where nobody answers."""
    from dbre.capabilities.ha.config_document import HA
    from dbre.capabilities.ha.consulting import consultation
    from dbre.capabilities.ha.kept_nodes import kept_nodes
    from dbre.capabilities.ha.looking import read_status
    from dbre.capabilities.ha.status import plugin_status, status_document, status_text
    from dbre.capabilities.ha.switchover.forecast_command import forecast
    from dbre.core.checks import Severity, exit_code_of
    from dbre.core.errors import ExitCode
    from dbre.core.units import parse_bytes

    parts = runtime(ctx)
    wanted = parts.fleet.cluster(cluster)
    found = await read_status(
        parts.engines,
        parts.fleet,
        wanted,
        seed=seed,
        slot_limit_bytes=parse_bytes(slot_limit),
        consult=consultation(parts.config.get(HA).of(cluster), parts.fleet, wanted, parts.clock),
        nodes=await kept_nodes(kept(ctx), parts.engines, parts.fleet),
    )
    following = await forecast(parts, wanted, found)
    errors = [one.error for one in found.topology.nodes if one.error is not None]
    nobody = all(one.view is None for one in found.topology.nodes)
    return View(
        kind="HaStatus",
        items=[status_document(found, parts.clock.now(), following)],
        single=True,
        text=status_text(found, following),
        errors=errors,
        text_tells_errors=True,
        exit_code=ExitCode.UNREACHABLE if nobody else exit_code_of(found.findings, fail_on=Severity.WARNING),
        plugin=plugin_status(found.topology, found.findings, found.judgement),
    )


@app.command()
async def lag(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    max_bytes: Annotated[
        str | None, typer.Option("--max-bytes", metavar="BYTES", help="End with 3 where a replica is further behind.")
    ] = None,
    max_seconds: Annotated[
        str | None, typer.Option("--max-lag", metavar="TIME", help="End with 3 where what is missing may be older.")
    ] = None,
) -> View:
    """How far each replica is behind, stage by stage; unknown is -, and idle is not behind."""
    from dbre.capabilities.ha.kept_nodes import kept_nodes
    from dbre.capabilities.ha.lag_view import LAG_COLUMNS, is_beyond, lag_row
    from dbre.capabilities.ha.looking import read_lag
    from dbre.core.errors import ExitCode
    from dbre.core.units import parse_bytes, parse_duration

    parts = runtime(ctx)
    limit_bytes = parse_bytes(max_bytes) if max_bytes is not None else None
    limit_seconds = parse_duration(max_seconds).total_seconds() if max_seconds is not None else None
    nodes = await kept_nodes(kept(ctx), parts.engines, parts.fleet)
    topology, lags = await read_lag(parts.engines, parts.fleet, parts.fleet.cluster(cluster), nodes=nodes)
    errors = [one.error for one in topology.nodes if one.error is not None]
    code = ExitCode.OK
    if all(one.view is None for one in topology.nodes):
        code = ExitCode.UNREACHABLE
    elif any(is_beyond(one, limit_bytes, limit_seconds) for one in lags):
        code = ExitCode.FINDINGS
    return View(
        kind="ReplicaLagList",
        items=[lag_row(one) for one in lags],
        columns=LAG_COLUMNS,
        errors=errors,
        exit_code=code,
        empty="no replica answers" if errors else "the cluster has no replicas",
    )
