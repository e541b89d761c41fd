"""``dbre probe``: measure endpoints now, as ``ping`` does for machines."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.errors import ExitCode
from dbre.core.fleet import EndpointPurpose
from dbre.core.view import Column, Row, View

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from dbre.ports.probe import ProbeObservation

__all__ = ["app"]

app = typer.Typer()

_PHASES = ("dns", "connect", "tls", "auth", "query", "commit")


def _milliseconds(value: object) -> str:
    return "-" if value is None else f"{float(str(value)) * 1000:.1f} ms"


_COLUMNS = (
    Column(key="cluster", title="CLUSTER"),
    Column(key="purpose", title="PURPOSE"),
    Column(key="outcome", title="OUTCOME"),
    Column(key="instance", title="INSTANCE"),
    Column(key="role", title="ROLE"),
    Column(key="latency_seconds", title="TOTAL", format=_milliseconds, right=True),
    *(Column(key=f"{one}_seconds", title=one.upper(), format=_milliseconds, right=True) for one in _PHASES),
    Column(key="code", title="CODE"),
    Column(key="reason", title="REASON"),
    Column(key="scheduled_at", title="AT", wide=True),
    Column(key="staleness_seconds", title="STALENESS", format=_milliseconds, right=True, wide=True),
)


@app.command()
async def probe(
    ctx: typer.Context,
    cluster: Annotated[str | None, typer.Argument(help="Cluster to probe; every cluster if left out.")] = None,
    purpose: Annotated[EndpointPurpose | None, typer.Option(help="Only endpoints of this purpose.")] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Rounds, a second apart.")] = 1,
) -> View:
    """Probe endpoints now, phase by phase.

    Opens a connection to each endpoint as the control plane's prober does and shows where the time went. Creates nothing; the
    write purpose updates the heartbeat row of the cluster. Exit code 3 if an endpoint is not good.
    """
    from dbre.capabilities.observe import PROBE, probe_once
    from dbre.ports.runtime import runtime

    here = runtime(ctx)
    clusters = here.fleet.clusters if cluster is None else (here.fleet.cluster(cluster),)
    found = await probe_once(
        clusters, engines=here.engines, clock=here.clock, settings=here.config.get(PROBE), purpose=purpose, count=count
    )
    is_good = all(one.outcome == "good" for one in found)
    return View(
        kind="ProbeObservationList",
        items=[_row(one) for one in found],
        columns=_COLUMNS,
        empty="no endpoints: the configuration names none that match",
        exit_code=ExitCode.OK if is_good else ExitCode.FINDINGS,
    )


def _row(observation: "ProbeObservation") -> Row:
    phases: dict[str, Any] = {f"{one}_seconds": getattr(observation.phases, f"{one}_seconds", None) for one in _PHASES}
    return {
        "cluster": observation.cluster,
        "purpose": str(observation.purpose),
        "scheduled_at": observation.scheduled_at,
        "outcome": str(observation.outcome),
        "instance": observation.instance,
        "role": None if observation.role is None else str(observation.role),
        "latency_seconds": observation.latency_seconds,
        **phases,
        "staleness_seconds": observation.staleness_seconds,
        "is_fresh": observation.fresh,
        "code": observation.code,
        "reason": observation.reason,
    }
