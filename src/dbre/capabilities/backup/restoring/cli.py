"""``dbre backup``: bring a moment back."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.operation.act import Act
from dbre.core.view import Column, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.core.operation.model import OperationRecord

__all__ = [
    "At",
    "AtLatest",
    "AtName",
    "AtPosition",
    "AtTimeline",
    "AtTransaction",
    "Before",
    "ClusterName",
    "Consistent",
    "LossOption",
    "SetOption",
    "VaultOption",
    "app",
]

app = typer.Typer()

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster that is backed up.")]
At = Annotated[str | None, typer.Option("--to", metavar="TIME", help="A moment with its offset: 2026-11-21T04:00:00Z.")]
AtPosition = Annotated[
    str | None, typer.Option("--to-position", metavar="POSITION", help="As the server writes it: 0/3000028.")
]
AtTransaction = Annotated[str | None, typer.Option("--to-transaction", metavar="ID", help="The number of a transaction.")]
AtName = Annotated[str | None, typer.Option("--to-name", metavar="NAME", help="A named restore point.")]
AtLatest = Annotated[bool, typer.Option("--latest", help="All that there is.")]
Consistent = Annotated[bool, typer.Option("--immediate", help="The end of the copy itself.")]
AtTimeline = Annotated[int | None, typer.Option("--timeline", metavar="N", help="Along this timeline; default: found out.")]
Before = Annotated[bool, typer.Option("--before", help="Stop just before the target, not just after it.")]

VaultOption = Annotated[str | None, typer.Option("--vault", metavar="NAME", help="Only from this vault.")]
SetOption = Annotated[str | None, typer.Option("--set", metavar="SET", help="Start from this set.")]
LossOption = Annotated[bool, typer.Option("--accept-loss", help="Go as far as there is log where the target lies beyond it.")]


@app.command()
def restore(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    directory: Annotated[str, typer.Option("--directory", metavar="DIR", help="A new directory; nothing is written over.")],
    to: At = None,
    to_position: AtPosition = None,
    to_transaction: AtTransaction = None,
    to_name: AtName = None,
    latest: AtLatest = False,
    immediate: Consistent = False,
    before: Before = False,
    timeline: AtTimeline = None,
    vault: VaultOption = None,
    set_id: SetOption = None,
    accept_loss: LossOption = False,
    check: Annotated[bool, typer.Option("--check", help="Run the checks of drills before it is handed over.")] = False,
) -> Act:
    """Bring a moment of a cluster back into a new directory; --dry-run shows sets, losses and how long it takes."""
    from pathlib import Path

    from dbre.capabilities.backup.restoring.documents import target_input
    from dbre.capabilities.backup.restoring.target import TargetText, parse_target

    given = TargetText(
        to=to,
        position=to_position,
        transaction=to_transaction,
        name=to_name,
        latest=latest,
        immediate=immediate,
        timeline=timeline,
        is_inclusive=not before,
    )
    asked: dict[str, Any] = {
        "cluster": cluster,
        "target": target_input(parse_target(given, now=runtime(ctx).clock.now())),
        "directory": str(Path(directory).absolute()),
        "vault": vault,
        "set": set_id,
        "accept_loss": accept_loss,
        "check": check,
    }
    return Act(kind="backup.restore", input=asked, view=_restored)


@app.command("restore-table")
def restore_table(
    ctx: typer.Context,
    cluster: ClusterName,
    table: Annotated[str, typer.Argument(metavar="TABLE", help='orders, sales.orders, "My Table".')],
    *,
    into: Annotated[str, typer.Option("--as", metavar="NEWNAME", help="Under this name; the living table is only read.")],
    to: At = None,
    to_position: AtPosition = None,
    to_name: AtName = None,
    latest: AtLatest = False,
    before: Before = False,
    timeline: AtTimeline = None,
    database: Annotated[str | None, typer.Option("--database", metavar="NAME", help="Default: the cluster's first.")] = None,
    vault: VaultOption = None,
    accept_loss: LossOption = False,
) -> Act:
    """Bring one table back as it was, beside the living one; dbre backup diff shows what became of its rows."""
    from dbre.capabilities.backup.restoring.documents import target_input
    from dbre.capabilities.backup.restoring.target import TargetText, parse_target

    given = TargetText(to=to, position=to_position, name=to_name, latest=latest, timeline=timeline, is_inclusive=not before)
    asked: dict[str, Any] = {
        "cluster": cluster,
        "table": table,
        "into": into,
        "target": target_input(parse_target(given, now=runtime(ctx).clock.now())),
        "database": database,
        "vault": vault,
        "accept_loss": accept_loss,
    }
    return Act(kind="backup.restore_table", input=asked)


def _restored(record: "OperationRecord") -> View:
    """Where it is, where recovery ended, and how long each part took."""
    from dbre.capabilities.backup.restoring.handing_over import next_steps

    results = {one.name: one.result or {} for one in record.steps}
    recovered = results.get("recover", {})
    phases = [phase for one in record.steps for phase in (one.result or {}).get("phases", ())]
    outcome = recovered.get("outcome", {})
    given = record.planned.input
    row = {
        "directory": given["directory"],
        "cluster": given["cluster"],
        "has_reached_target": outcome.get("has_reached_target"),
        "position": outcome.get("position"),
        "last_commit_at": outcome.get("last_commit_at"),
        "timeline": outcome.get("timeline"),
        "reason": outcome.get("reason"),
        "seconds": round(sum(float(one["seconds"]) for one in phases), 3),
        "phases": phases,
        "checks": recovered.get("checks", []),
    }
    notes = next_steps(str(given["cluster"]), str(given["directory"]))
    columns = [
        Column(key="directory", title="DIRECTORY"),
        Column(key="has_reached_target", title="TARGET", format=lambda value: "reached" if value else "end of log"),
        Column(key="position", title="POSITION"),
        Column(key="last_commit_at", title="LAST COMMIT"),
        Column(key="timeline", title="TIMELINE", right=True),
        Column(key="seconds", title="SECONDS", right=True),
        Column(key="reason", title="WHY THERE", wide=True),
    ]
    return View(kind="RestoredDirectory", items=[row], columns=columns, notes=notes, exit_code=record.exit_code)
