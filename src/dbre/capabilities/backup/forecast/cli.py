"""``dbre backup forecast``: how long a restore would take."""

from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.view import Column, PluginState, PluginStatus, Row, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.capabilities.backup.forecast.model import Forecast, PhaseForecast

__all__ = ["app"]

app = typer.Typer()


@app.command()
async def forecast(
    ctx: typer.Context,
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster that is backed up.")],
    *,
    vault: Annotated[str | None, typer.Option("--vault", metavar="NAME", help="As if restored from this vault.")] = None,
    set_id: Annotated[str | None, typer.Option("--set", metavar="SET", help="As if restored from this set.")] = None,
) -> View:
    """How long it would take to restore all that there is, phase by phase, and what that is known from."""
    from dbre.capabilities.backup.restoring.request import Asked, forecast_of, plan_asked
    from dbre.core.errors import ExitCode
    from dbre.core.units import format_duration
    from dbre.ports.backup.model import RecoveryTarget, TargetKind

    parts = runtime(ctx)
    parts.fleet.cluster(cluster)
    async with parts.open_store() as store:
        ground = parts.backups(store)
        asked = Asked(
            cluster=cluster, target=RecoveryTarget(kind=TargetKind.LATEST), vault=vault, set_id=set_id, accept_loss=True
        )
        plan = await plan_asked(ground, asked, parts.clock)
        found = await forecast_of(ground, plan)
        policy = ground.policy_of(cluster)
    objective = policy.recovery_time.total_seconds() if policy is not None else None
    is_over = objective is not None and found.known_seconds > objective
    notes = [f"from {' + '.join(f'{one.kind.value} {one.id}' for one in plan.chain)}; {found.basis}"]
    if objective is not None:
        total = "not known" if found.total_seconds is None else format_duration(found.total_seconds)
        words = "over" if is_over else "within" if found.total_seconds is not None else "cannot be compared with"
        notes.append(
            f"in all {total}, with a margin of {found.margin:g}: {words} the objective of {format_duration(objective)}"
        )
    return View(
        kind="RestoreForecastList",
        items=[*(_row(one) for one in found.phases), _total(found)],
        columns=[
            Column(key="phase", title="PHASE"),
            Column(key="seconds", title="SECONDS", format=_seconds, right=True),
            Column(key="bytes", title="BYTES", right=True),
            Column(key="bytes_per_second", title="BYTES/S", format=_rate, right=True),
            Column(key="samples", title="SAMPLES", right=True),
            Column(key="basis", title="BASIS"),
        ],
        notes=notes,
        exit_code=ExitCode.FINDINGS if is_over else ExitCode.OK,
        plugin=PluginStatus(state=_state(found, is_over), text=notes[-1]),
    )


def _row(one: "PhaseForecast") -> Row:
    return {
        "phase": one.name,
        "seconds": one.seconds,
        "bytes": one.bytes,
        "bytes_per_second": one.bytes_per_second,
        "samples": one.samples,
        "basis": one.basis,
    }


def _total(found: "Forecast") -> Row:
    return {
        "phase": "total",
        "seconds": found.total_seconds,
        "bytes": None,
        "bytes_per_second": None,
        "samples": None,
        "basis": f"sum with a margin of {found.margin:g}" if found.total_seconds is not None else "a phase is not known",
    }


def _state(found: "Forecast", is_over: bool) -> PluginState:
    if is_over:
        return PluginState.CRITICAL
    return PluginState.UNKNOWN if found.total_seconds is None else PluginState.OK


def _seconds(value: object) -> str:
    return "not known" if value is None else f"{value:.1f}"


def _rate(value: object) -> str:
    return "-" if value is None else f"{value:.0f}"
