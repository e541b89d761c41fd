"""``dbre ha route``: how clients reach the primary, and how that is changed."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.operation.act import Act
from dbre.core.view import Column, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.capabilities.ha.route.ground import RouteGround
    from dbre.core.operation.model import OperationRecord

__all__ = ["app"]

app = typer.Typer()
route_app = typer.Typer(help="How clients reach the primary: shown, checked, turned.", no_args_is_help=True)
app.add_typer(route_app, name="route")

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
RouteOption = Annotated[
    list[str] | None, typer.Option("--route", metavar="NAME", help="Only this route; may be given again. Default: all.")
]


@route_app.command()
async def show(ctx: typer.Context, cluster: ClusterName, *, route: RouteOption = None) -> View:
    """Where each route leads now; ends with 6 where one does not answer."""
    from dbre.capabilities.ha.route.looking import read_routes
    from dbre.core.errors import ExitCode

    ground = _ground(runtime(ctx))
    found = ground.fleet.cluster(cluster)
    rows, errors = await read_routes(ground, found, tuple(route or ()))
    columns = [
        Column(key="route", title="ROUTE"),
        Column(key="kind", title="KIND"),
        Column(key="instances", title="LEADS TO", format=_listed),
        Column(key="addresses", title="ADDRESSES", format=_listed),
        Column(key="is_paused", title="PAUSED", format=_yes_no),
        Column(key="linger_seconds", title="KEPT FOR", format=_seconds, right=True),
    ]
    code = ExitCode.UNREACHABLE if errors else ExitCode.OK
    return View(kind="RouteList", items=rows, columns=columns, errors=errors, exit_code=code)


@route_app.command()
async def check(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    to: Annotated[str | None, typer.Option("--to", metavar="INSTANCE", help="Default: each instance.")] = None,
    route: RouteOption = None,
) -> View:
    """Whether each route could be turned now; changes nothing. Ends with 3 where one could not."""
    from dbre.capabilities.ha.route.looking import check_routes
    from dbre.core.errors import ExitCode

    ground = _ground(runtime(ctx))
    found = ground.fleet.cluster(cluster)
    rows, errors = await check_routes(ground, found, to, tuple(route or ()))
    columns = [
        Column(key="route", title="ROUTE"),
        Column(key="instance", title="TO"),
        Column(key="check", title="CHECK"),
        Column(key="status", title="STATUS"),
        Column(key="seen", title="SEEN"),
        Column(key="wanted", title="WANTED"),
        Column(key="remedy", title="REMEDY", below=True),
    ]
    is_bad = any(row["status"] == "fails" for row in rows)
    code = ExitCode.UNREACHABLE if errors else ExitCode.FINDINGS if is_bad else ExitCode.OK
    return View(kind="RouteCheckList", items=rows, columns=columns, errors=errors, exit_code=code)


@route_app.command()
def switch(
    cluster: ClusterName,
    *,
    to: Annotated[str, typer.Option("--to", metavar="INSTANCE", help="Where clients are to be led.")],
    route: RouteOption = None,
    pause_limit: Annotated[
        str, typer.Option("--pause-limit", metavar="TIME", help="How long running transactions may hold it up.")
    ] = "10s",
    settle: Annotated[
        str, typer.Option("--settle", metavar="TIME", help="How long to watch who still goes to the old instance.")
    ] = "30s",
    keep_sessions: Annotated[
        bool, typer.Option("--keep-sessions", help="Leave connections to the old instance to end by themselves.")
    ] = False,
    even_if_replica: Annotated[
        bool, typer.Option("--even-if-replica", help="Also to an instance that takes no writes.")
    ] = False,
) -> Act:
    """Lead clients to another instance by every route; undone as a whole where one fails."""
    asked: dict[str, Any] = {
        "cluster": cluster,
        "to": to,
        "routes": route or [],
        "pause_limit": pause_limit,
        "settle": settle,
        "keep_sessions": keep_sessions,
        "even_if_replica": even_if_replica,
    }
    return Act(kind="ha.switch_route", input=asked, view=_switched)


@route_app.command()
def ttl(
    cluster: ClusterName,
    *,
    route: Annotated[str, typer.Option("--route", metavar="NAME", help="A route by dns or route53.")],
    to: Annotated[str, typer.Option("--ttl", metavar="TIME", help="For how long clients may keep where it leads.")] = "5s",
) -> Act:
    """Change for how long clients keep where a name leads, and wait until the old time has passed."""
    return Act(kind="ha.set_route_ttl", input={"cluster": cluster, "route": route, "ttl": to})


@route_app.command()
async def stragglers(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    instance: Annotated[
        list[str] | None,
        typer.Option("--instance", metavar="NAME", help="Of this one; default: those no route leads to."),
    ] = None,
) -> View:
    """Who is connected to instances that no route leads to; ends with 3 where somebody is."""
    from dbre.capabilities.ha.route.looking import read_stragglers
    from dbre.core.errors import ExitCode

    ground = _ground(runtime(ctx))
    rows, errors = await read_stragglers(ground, ground.fleet.cluster(cluster), tuple(instance or ()))
    code = ExitCode.UNREACHABLE if errors else ExitCode.FINDINGS if rows else ExitCode.OK
    return View(
        kind="StragglerList",
        items=rows,
        columns=_straggler_columns(),
        errors=errors,
        exit_code=code,
        empty="nobody stayed behind",
    )


def _ground(parts: Runtime) -> "RouteGround":
    from dbre.capabilities.ha.config_document import HA
    from dbre.capabilities.ha.route.building import routes_of
    from dbre.capabilities.ha.route.ground import RouteGround

    settings = parts.config.get(HA)
    return RouteGround(fleet=parts.fleet, engines=parts.engines, routes_of=lambda cluster: routes_of(settings, cluster))


def _switched(record: "OperationRecord") -> View:
    """Who stayed behind, after all is turned."""
    from dbre.core.units import format_duration

    settled = next((one.result or {} for one in record.steps if one.name == "settle"), {})
    notes = [
        f"after {format_duration(settled['seconds'])}: {one}" for one in (*settled.get("late", ()), *settled.get("unknown", ()))
    ]
    return View(
        kind="StragglerList",
        items=settled.get("stragglers", []),
        columns=_straggler_columns(),
        title=record.planned.plan.summary,
        notes=notes,
        exit_code=record.exit_code,
        empty="nobody stayed behind",
    )


def _straggler_columns() -> list[Column]:
    return [
        Column(key="instance", title="INSTANCE"),
        Column(key="user", title="USER"),
        Column(key="application", title="APPLICATION"),
        Column(key="address", title="FROM"),
        Column(key="sessions", title="SESSIONS", right=True),
        Column(key="longest_transaction_seconds", title="LONGEST TRANSACTION", format=_seconds, right=True),
    ]


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) and value else "-"


def _yes_no(value: object) -> str:
    return "-" if value is None else "yes" if value else "no"


def _seconds(value: object) -> str:
    from dbre.core.units import format_duration

    return "-" if not isinstance(value, int | float) or value == 0 else format_duration(float(value))
