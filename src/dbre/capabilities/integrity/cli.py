"""``dbre integrity``: rows, pages and indexes of servers, checked and compared. Everything only reads."""

from datetime import timedelta
from typing import Annotated

import typer

from dbre.core.view import Column, View
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer(help="Rows, pages and indexes: compared and checked.", no_args_is_help=True)

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
InstanceOption = Annotated[
    str | None, typer.Option("--instance", metavar="NAME", help="Which instance; default: a replica that answers.")
]
DatabaseOption = Annotated[str | None, typer.Option("--database", metavar="NAME", help="Default: the cluster's first.")]
TableOption = Annotated[
    list[str] | None, typer.Option("--table", metavar="[SCHEMA.]NAME", help="Only this table; may be given again.")
]
LimitOption = Annotated[str, typer.Option("--timeout", metavar="TIME", help="Limit of each statement.")]


@app.command()
async def check(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    instance: InstanceOption = None,
    database: DatabaseOption = None,
    only: Annotated[
        list[str] | None, typer.Option("--check", metavar="NAME", help="Only this check; may be given again.")
    ] = None,
    longest: LimitOption = "1h",
) -> View:
    """Pages, indexes, constraints, sequences and collations of one database; ends with 3 where something is broken."""
    from dbre.capabilities.integrity.checking import findings_of, run_checks
    from dbre.capabilities.integrity.opening import choose_instance, open_for_checks
    from dbre.core.errors import ExitCode

    parts = runtime(ctx)
    chosen = parts.fleet.cluster(cluster)
    target = await choose_instance(parts.engines, chosen, instance)
    rows, is_broken = [], False
    async with open_for_checks(parts.engines, chosen, target, database=database, limit=_limit(longest)) as opened:
        async for report in run_checks(opened, only or []):
            findings = findings_of(report, subject=target.name)
            is_broken = is_broken or bool(report.faults)
            rows.append(
                {
                    "instance": target.name,
                    "database": opened.database,
                    "check": report.check,
                    "result": "broken" if report.faults else "not checked" if report.missing else "ok",
                    "looked_at": report.looked_at,
                    "unit": report.unit,
                    "faults": len(report.faults),
                    "detail": "; ".join(one.summary for one in findings) or None,
                    "fix": next((one.fix for one in findings if one.fix), None),
                    "seconds": report.seconds,
                }
            )
    columns = [
        Column(key="instance", title="INSTANCE"),
        Column(key="database", title="DATABASE"),
        Column(key="check", title="CHECK"),
        Column(key="result", title="RESULT"),
        Column(key="looked_at", title="LOOKED AT", right=True),
        Column(key="unit", title=""),
        Column(key="faults", title="FAULTS", right=True),
        Column(key="seconds", title="SECONDS", format=_seconds, right=True),
        Column(key="detail", title="DETAIL"),
        Column(key="fix", title="FIX", wide=True),
    ]
    return View(
        kind="IntegrityCheckList",
        items=rows,
        columns=columns,
        exit_code=ExitCode.FINDINGS if is_broken else ExitCode.OK,
    )


@app.command()
async def digest(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    instance: InstanceOption = None,
    database: DatabaseOption = None,
    table: TableOption = None,
    longest: LimitOption = "1h",
) -> View:
    """Digests of the rows of tables, the same whatever their order: equal digests mean equal rows."""
    from dbre.capabilities.integrity.opening import choose_instance, open_for_checks
    from dbre.capabilities.integrity.tables import choose_tables

    parts = runtime(ctx)
    chosen = parts.fleet.cluster(cluster)
    target = await choose_instance(parts.engines, chosen, instance)
    async with open_for_checks(parts.engines, chosen, target, database=database, limit=_limit(longest)) as opened:
        names = choose_tables(await opened.server.integrity.tables(), table or [])
        found = [await opened.server.integrity.digest(one) for one in names]
    rows = [
        {
            "table": str(one.table),
            "rows": one.rows,
            "digest": one.digest,
            "method": one.method,
            "seconds": one.seconds,
        }
        for one in found
    ]
    columns = [
        Column(key="table", title="TABLE"),
        Column(key="rows", title="ROWS", right=True),
        Column(key="digest", title="DIGEST"),
        Column(key="seconds", title="SECONDS", format=_seconds, right=True),
        Column(key="method", title="METHOD", wide=True),
    ]
    return View(kind="TableDigestList", items=rows, columns=columns, empty="there are no tables of users")


@app.command()
async def compare(
    ctx: typer.Context,
    cluster: ClusterName,
    left: Annotated[str, typer.Argument(metavar="INSTANCE", help="What it should be: the primary.")],
    right: Annotated[str, typer.Argument(metavar="OTHER", help="What is compared with it: a replica.")],
    *,
    database: DatabaseOption = None,
    table: TableOption = None,
    longest: LimitOption = "1h",
) -> View:
    """Rows of two instances of a cluster, table by table; ends with 3 where they differ."""
    from dbre.capabilities.integrity.comparing import compare as compare_tables
    from dbre.capabilities.integrity.comparing import is_as_it_should_be
    from dbre.capabilities.integrity.opening import choose_instance, open_for_checks
    from dbre.capabilities.integrity.tables import choose_tables
    from dbre.core.errors import ExitCode, UsageError

    if left == right:
        raise UsageError("an instance always equals itself", hint="name two instances")
    parts, limit = runtime(ctx), _limit(longest)
    chosen = parts.fleet.cluster(cluster)
    one, other = [await choose_instance(parts.engines, chosen, name) for name in (left, right)]
    async with (
        open_for_checks(parts.engines, chosen, one, database=database, limit=limit) as here,
        open_for_checks(parts.engines, chosen, other, database=database, limit=limit) as there,
    ):
        names = choose_tables(await here.server.integrity.tables(), table or []) if table else []
        found = [each async for each in compare_tables(here, there, parts.clock, tables=names)]
    rows = [
        {
            "table": str(each.table),
            "likeness": each.likeness.value,
            "left_rows": each.left_rows,
            "right_rows": each.right_rows,
            "seconds": each.seconds,
        }
        for each in found
    ]
    columns = [
        Column(key="table", title="TABLE"),
        Column(key="likeness", title="RESULT"),
        Column(key="left_rows", title=left.upper()[:40], right=True),
        Column(key="right_rows", title=right.upper()[:40], right=True),
        Column(key="seconds", title="SECONDS", format=_seconds, right=True),
    ]
    return View(
        kind="TableComparisonList",
        items=rows,
        columns=columns,
        empty="neither has tables of users",
        exit_code=ExitCode.OK if is_as_it_should_be(found) else ExitCode.FINDINGS,
    )


def _limit(text: str) -> timedelta:
    from dbre.core.units import parse_duration

    return parse_duration(text)


def _seconds(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else "-"
