"""``dbre fleet``: the inventory, who is what in it, and whether dbre can work with it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.checks import Severity, worst_first
from dbre.core.errors import ExitCode
from dbre.core.operation.act import Act
from dbre.core.text import counted
from dbre.core.units import format_bytes, format_duration
from dbre.core.view import Column, Row, View

if TYPE_CHECKING:
    from dbre.core.checks import Finding
    from dbre.core.fleet import Cluster, Fleet
    from dbre.core.operation.model import OperationRecord

__all__ = ["app"]

app = typer.Typer(help="The inventory: environments, clusters, instances.", no_args_is_help=True)

SelectorOption = Annotated[
    str, typer.Option("--selector", "-l", metavar="SELECTOR", help="Clusters by label: environment=prod,tier in (0,1).")
]

FailOnOption = Annotated[Severity, typer.Option("--fail-on", help="End with exit code 3 from this severity on.")]


@app.command(name="list")
def list_clusters(ctx: typer.Context, selector: SelectorOption = "") -> View:
    """The clusters of the inventory, in the order of the configuration."""
    from dbre.ports.runtime import runtime

    clusters = _selected(runtime(ctx).fleet, selector)
    columns = [
        Column(key="name", title="CLUSTER"),
        Column(key="environment", title="ENVIRONMENT"),
        Column(key="engine", title="ENGINE"),
        Column(key="instance_count", title="INSTANCES", right=True),
        Column(key="databases", title="DATABASES", format=_joined, wide=True),
        Column(key="labels", title="LABELS", format=_labels),
    ]
    empty = "no cluster fits the selector" if selector else "the configuration has no clusters: add them under fleet: clusters:"
    return View(kind="ClusterList", items=[_row(cluster) for cluster in clusters], columns=columns, empty=empty)


@app.command()
def show(ctx: typer.Context, name: Annotated[str, typer.Argument(help="A cluster or an instance.")]) -> View:
    """Everything that the inventory holds on a cluster, by its name or that of one of its instances."""
    from dbre.ports.runtime import runtime

    fleet = runtime(ctx).fleet
    holders = [one for one in fleet.clusters if any(instance.name == name for instance in one.instances)]
    is_instance = holders and all(one.name != name for one in fleet.clusters)
    cluster = holders[0] if is_instance else fleet.cluster(name)
    row = {
        **_row(cluster),
        "instances": [{"name": one.name, "address": str(one.address)} for one in cluster.instances],
        "endpoints": {one.purpose.value: [str(address) for address in one.addresses] for one in cluster.endpoints},
        "user": cluster.user,
        "has_password": cluster.password is not None,
        "tls": cluster.tls.value,
        "tls_ca_file": cluster.tls_ca_file,
    }
    return View(kind="Cluster", items=[row], single=True)


@app.command()
async def topology(ctx: typer.Context, selector: SelectorOption = "") -> View:
    """Who is primary and who follows, as the instances themselves say now."""
    from dbre.cli.fleet_topology import survey
    from dbre.ports.runtime import runtime

    wired = runtime(ctx)
    rows, errors = await survey(_selected(wired.fleet, selector), wired.engines)
    columns = [
        Column(key="cluster", title="CLUSTER"),
        Column(key="name", title="INSTANCE"),
        Column(key="address", title="ADDRESS"),
        Column(key="role", title="ROLE"),
        Column(key="upstream", title="FOLLOWS"),
        Column(key="replica_count", title="REPLICAS", right=True),
        Column(key="replay_lag_bytes", title="LAG", right=True, format=_bytes),
        Column(key="replay_lag_seconds", title="BEHIND", right=True, format=_duration),
        Column(key="version", title="VERSION"),
        Column(key="system_id", title="SYSTEM", wide=True),
    ]
    code = errors[0].exit_code if errors and len(errors) == len(rows) else ExitCode.OK
    return View(kind="TopologyList", items=rows, columns=columns, errors=errors, exit_code=code, empty="no instances")


@app.command()
async def doctor(
    ctx: typer.Context,
    selector: SelectorOption = "",
    fail_on: FailOnOption = Severity.ERROR,
) -> View:
    """Connect to every instance and endpoint, and report what keeps dbre from working with it."""
    from dbre.capabilities.review.checks import examine
    from dbre.core.errors import UsageError
    from dbre.ports.runtime import runtime

    wired = runtime(ctx)
    clusters = _selected(wired.fleet, selector)
    if selector and not clusters:
        raise UsageError("no cluster fits the selector", hint="dbre fleet list shows the labels")
    findings = worst_first(await examine(clusters, wired.engines, wired.clock, purpose="fleet.doctor"))
    count = sum(len(cluster.instances) for cluster in clusters)
    return _findings([_finding_row(one) for one in findings], fail_on=fail_on, instance_count=count)


@app.command()
def check(
    ctx: typer.Context,
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")],
    *,
    checks: Annotated[
        list[str] | None, typer.Option("--check", metavar="ID", help="Only this check; may be given again.")
    ] = None,
    fail_on: FailOnOption = Severity.ERROR,
) -> Act:
    """Run every read-only check on a cluster, and keep the findings with the operation."""
    from dbre.ports.runtime import runtime

    count = len(runtime(ctx).fleet.cluster(cluster).instances)

    def view(record: "OperationRecord") -> View:
        rows = ((record.outcome or {}).get("result") or {}).get("findings", [])
        shown = _findings(rows, fail_on=fail_on, instance_count=count)
        return shown if record.exit_code is ExitCode.OK else replace(shown, exit_code=record.exit_code)

    return Act(kind="fleet.check", input={"cluster": cluster, "checks": checks or []}, view=view)


def _findings(rows: Sequence[Row], *, fail_on: Severity, instance_count: int) -> View:
    columns = [
        Column(key="severity", title="SEVERITY"),
        Column(key="subject", title="SUBJECT"),
        Column(key="summary", title="FINDING"),
        Column(key="fix", title="FIX"),
        Column(key="rule", title="RULE", wide=True),
    ]
    empty = f"nothing is wrong with {counted(instance_count, 'instance')}" if instance_count else "no instances to look at"
    is_bad = any(Severity(str(row["severity"])).weight >= fail_on.weight for row in rows)
    return View(
        kind="FindingList",
        items=rows,
        columns=columns,
        empty=empty,
        exit_code=ExitCode.FINDINGS if is_bad else ExitCode.OK,
    )


def _finding_row(finding: "Finding") -> Row:
    from dbre.capabilities.review.operations.check_fleet import finding_row

    return finding_row(finding)


def _selected(fleet: "Fleet", selector: str) -> "Sequence[Cluster]":
    from dbre.core.selector import Selector

    return fleet.select(Selector.parse(selector))


def _row(cluster: "Cluster") -> dict[str, object]:
    return {
        "name": cluster.name,
        "environment": cluster.environment,
        "engine": cluster.engine,
        "instance_count": len(cluster.instances),
        "databases": list(cluster.databases),
        "labels": {
            key: value for key, value in sorted(cluster.labels.items()) if key not in ("environment", "cluster", "engine")
        },
    }


def _joined(values: object) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list) else "-"


def _labels(labels: object) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items()) if isinstance(labels, dict) else "-"


def _bytes(count: object) -> str:
    return format_bytes(count) if isinstance(count, int) else "-"


def _duration(seconds: object) -> str:
    return format_duration(seconds) if isinstance(seconds, int | float) else "-"
