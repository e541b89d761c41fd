"""``dbre slo correct``: times that do not count."""

from typing import Annotated

import typer

from dbre.core.operation.act import Act
from dbre.core.view import Column, View
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer(help="Times that do not count towards a budget: made, listed, revoked.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="SLO@CLUSTER[/GROUP]", help="One SLO on one cluster, or a group there.")]


@app.command("add")
def add(
    name: Name,
    *,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="2026-11-01T10:00:00Z.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="2026-11-01T10:30:00Z; it may lie ahead.")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why it does not count; people will read it.")],
) -> Act:
    """Leave a time out of a budget; what was measured stays, and it can be revoked."""
    return Act(kind="slo.correct", input={"slo": name, "start": start, "end": end, "reason": why}, reason=why)


@app.command("revoke")
def revoke(number: Annotated[str, typer.Argument(metavar="ID", help="From dbre slo correct list.")]) -> Act:
    """Let a time count again."""
    return Act(kind="slo.revoke_correction", input={"id": number})


@app.command("list")
async def list_corrections(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[SLO[@CLUSTER]]", help="Only those of one SLO.")] = None,
) -> View:
    """Corrections, revoked ones too, the newest time first."""
    from dbre.capabilities.slo.correction_repository import read_corrections

    slo, _, cluster = (name or "").partition("@")
    async with runtime(ctx).open_store() as store, store.read() as connection:
        found = await read_corrections(connection, slo=slo or None, cluster=cluster or None)
    items = [
        {
            "id": one.id,
            "slo": one.instance,
            "start": one.start.isoformat().replace("+00:00", "Z"),
            "end": one.end.isoformat().replace("+00:00", "Z"),
            "seconds": one.seconds,
            "reason": one.reason,
            "operation_id": one.operation_id,
            "created_by": one.created_by,
            "created_at": one.created_at.isoformat().replace("+00:00", "Z"),
            "is_revoked": one.revoked_at is not None,
            "revoked_by": one.revoked_by,
            "revoked_at": None if one.revoked_at is None else one.revoked_at.isoformat().replace("+00:00", "Z"),
        }
        for one in found
    ]
    return View(
        kind="SloCorrectionList",
        items=items,
        columns=(
            Column(key="id", title="ID"),
            Column(key="slo", title="SLO"),
            Column(key="start", title="FROM"),
            Column(key="end", title="TO"),
            Column(key="is_revoked", title="COUNTS", format=lambda value: "again" if value else "no"),
            Column(key="created_by", title="BY"),
            Column(key="reason", title="REASON"),
        ),
        empty="no time was ever corrected",
    )
