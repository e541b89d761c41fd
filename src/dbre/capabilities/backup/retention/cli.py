"""``dbre backup``: what is kept and why; expiry; holds."""

from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.operation.act import Act
from dbre.core.view import Column, Row, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.capabilities.backup.retention.plan import RetentionPlan

__all__ = ["app"]

app = typer.Typer()

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
SetName = Annotated[str, typer.Argument(metavar="SET", help="Its id, or an end of it (dbre backup list).")]


@app.command()
async def retention(ctx: typer.Context, cluster: ClusterName) -> View:
    """What the retention keeps and what goes, with the reason for every set and for the log; changes nothing."""
    from dbre.capabilities.backup.catalog.loading import load_catalog
    from dbre.capabilities.backup.retention.planning import plan_retention

    parts = runtime(ctx)
    parts.fleet.cluster(cluster)
    async with parts.open_store() as store:
        policy = parts.backups(store).require_policy(cluster)
        found = plan_retention(cluster, await load_catalog(store, cluster), policy.retention, now=parts.clock.now())
    return View(
        kind="BackupRetentionList",
        items=[*_set_rows(found), *_log_rows(found)],
        columns=[
            Column(key="object", title="WHAT"),
            Column(key="fate", title="FATE", format=lambda value: str(value).replace("_", " ")),
            Column(key="started_at", title="BEGUN", format=lambda value: f"{str(value)[:19]}Z"),
            Column(
                key="reasons",
                title="WHY",
                format=lambda value: "; ".join(value) if isinstance(value, list) else "-",
                below=True,
            ),
        ],
        notes=[f"expiry would be refused: {one.message} ({one.hint})" for one in found.objections],
        empty="nothing is kept yet",
    )


@app.command()
def expire(
    cluster: ClusterName,
    *,
    accept_share: Annotated[bool, typer.Option("--accept-share", help="Even where more than the share goes at once.")] = False,
    accept_unproven: Annotated[
        bool, typer.Option("--accept-unproven", help="Even where no set that a drill proved would stay.")
    ] = False,
) -> Act:
    """Mark what no rule keeps, and delete what was marked longer ago than the grace; --dry-run shows what and why."""
    asked = {"cluster": cluster, "accept_share": accept_share, "accept_unproven": accept_unproven}
    return Act(kind="backup.expire", input=asked)


@app.command()
def hold(
    name: SetName,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is kept; people will read it.")],
) -> Act:
    """Keep a set, and all on which it stands, until it is released."""
    return Act(kind="backup.hold", input={"set": name, "reason": reason})


@app.command()
def release(name: SetName) -> Act:
    """Let the retention decide on a set again."""
    return Act(kind="backup.release", input={"set": name})


def _set_rows(found: "RetentionPlan") -> list[Row]:
    return [
        {
            "object": f"set {one.set.id}",
            "kind": one.set.kind.value,
            "state": one.set.state.value,
            "fate": one.fate.value,
            "started_at": one.set.started_at.isoformat().replace("+00:00", "Z"),
            "bytes_stored": one.set.bytes_stored,
            "count": 1,
            "reasons": list(one.reasons),
        }
        for one in reversed(found.sets)
    ]


def _log_rows(found: "RetentionPlan") -> list[Row]:
    """One row for each reason: a list of segments says nothing."""
    from dbre.core.text import counted

    grouped: dict[tuple[bool, str], list[int]] = {}
    for one in found.logs:
        words = "makes sets consistent" if one.reason.startswith("makes set ") else one.reason
        grouped.setdefault((one.is_kept, words), []).append(one.log.file.size)
    return [
        {
            "object": counted(len(sizes), "log file"),
            "kind": "log",
            "state": None,
            "fate": "keep" if is_kept else "delete",
            "started_at": None,
            "bytes_stored": sum(sizes),
            "count": len(sizes),
            "reasons": [reason],
        }
        for (is_kept, reason), sizes in sorted(grouped.items())
    ]
