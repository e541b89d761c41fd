"""``dbre backup``: bring a moment back."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from dbre.core.operation.act import Act
from dbre.core.view import Column, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.capabilities.backup.restoring.target import TargetText
    from dbre.core.operation.model import OperationRecord

__all__ = [
    "ClusterName",
    "LossOption",
    "SetOption",
    "VaultOption",
    "app",
    "with_target",
]

app = typer.Typer()
_Result = TypeVar("_Result")

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster that is backed up.")]
VaultOption = Annotated[str | None, typer.Option("--vault", metavar="NAME", help="Only from this vault.")]
SetOption = Annotated[str | None, typer.Option("--set", metavar="SET", help="Start from this set.")]
LossOption = Annotated[bool, typer.Option("--accept-loss", help="Go as far as there is log where the target lies beyond it.")]


def _target_options(
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="A moment with its offset: 2026-11-21T04:00:00Z.")
    ] = None,
    position: Annotated[
        str | None, typer.Option("--to-position", metavar="POSITION", help="As the server writes it: 0/3000028.")
    ] = None,
    transaction: Annotated[
        str | None, typer.Option("--to-transaction", metavar="ID", help="As the server writes it: 742.")
    ] = None,
    name: Annotated[str | None, typer.Option("--to-name", metavar="NAME", help="A named restore point.")] = None,
    latest: Annotated[bool, typer.Option("--latest", help="All that there is.")] = False,
    immediate: Annotated[bool, typer.Option("--immediate", help="The end of the copy itself.")] = False,
    before: Annotated[bool, typer.Option("--before", help="Stop just before the target, not just after it.")] = False,
    timeline: Annotated[
        int | None, typer.Option("--timeline", metavar="N", help="Along this timeline; default: found out.")
    ] = None,
) -> "TargetText":
    from dbre.capabilities.backup.restoring.target import TargetText

    return TargetText(
        to=to,
        position=position,
        transaction=transaction,
        name=name,
        latest=latest,
        immediate=immediate,
        timeline=timeline,
        is_inclusive=not before,
    )


def with_target(call: Callable[..., _Result]) -> Callable[..., _Result]:
    """Give a command the options that name the target of a restore, and hand it what they say as ``target``."""
    options = inspect.signature(_target_options).parameters
    signature = inspect.signature(call)
    own = list(signature.parameters.values())
    place = [one.name for one in own].index("target")

    @wraps(call)
    def run(**given: Any) -> _Result:
        target = _target_options(**{name: given.pop(name) for name in options})
        return call(**given, target=target)

    shown = signature.replace(parameters=[*own[:place], *options.values(), *own[place + 1 :]])
    run.__signature__ = shown  # type: ignore[attr-defined]  # what Typer and inspect read
    run.__annotations__ = {one.name: one.annotation for one in shown.parameters.values()} | {
        "return": signature.return_annotation
    }
    return run


@app.command()
@with_target
def restore(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    directory: Annotated[str, typer.Option("--directory", metavar="DIR", help="A new directory; nothing is written over.")],
    target: "TargetText",
    vault: VaultOption = None,
    set_id: SetOption = None,
    accept_loss: LossOption = False,
    check: Annotated[bool, typer.Option("--check", help="Run the checks of drills before it is handed over.")] = False,
) -> Act:
    """Bring a moment of a cluster back into a new directory; --dry-run shows sets, losses and how long it takes."""
    from pathlib import Path

    from dbre.capabilities.backup.restoring.documents import target_input
    from dbre.capabilities.backup.restoring.target import parse_target

    asked: dict[str, Any] = {
        "cluster": cluster,
        "target": target_input(parse_target(target, now=runtime(ctx).clock.now())),
        "directory": str(Path(directory).absolute()),
        "vault": vault,
        "set": set_id,
        "accept_loss": accept_loss,
        "check": check,
    }
    return Act(kind="backup.restore", input=asked, view=_restored)


@app.command("restore-table")
@with_target
def restore_table(
    ctx: typer.Context,
    cluster: ClusterName,
    table: Annotated[str, typer.Argument(metavar="TABLE", help='orders, sales.orders, "My Table".')],
    *,
    into: Annotated[str, typer.Option("--as", metavar="NEWNAME", help="Under this name; the living table is only read.")],
    target: "TargetText",
    database: Annotated[str | None, typer.Option("--database", metavar="NAME", help="Default: the cluster's first.")] = None,
    vault: VaultOption = None,
    accept_loss: LossOption = False,
) -> Act:
    """Bring one table back as it was, beside the living one; dbre backup diff shows what became of its rows."""
    from dbre.capabilities.backup.restoring.documents import target_input
    from dbre.capabilities.backup.restoring.target import parse_target

    asked: dict[str, Any] = {
        "cluster": cluster,
        "table": table,
        "into": into,
        "target": target_input(parse_target(target, now=runtime(ctx).clock.now())),
        "database": database,
        "vault": vault,
        "accept_loss": accept_loss,
    }
    return Act(kind="backup.restore_table", input=asked, view=_table_restored)


def _table_restored(record: "OperationRecord") -> View:
    """The new table, and what did not come along."""
    given = record.planned.input
    loaded: Mapping[str, Any] = next((one.result for one in record.steps if one.name == "load" and one.result), {})
    left_out = [str(one) for one in loaded.get("left_out", ())]
    row = {
        "table": loaded.get("table"),
        "cluster": given["cluster"],
        "of": given["table"],
        "rows": loaded.get("rows"),
        "bytes": loaded.get("bytes"),
        "left_out": left_out,
    }
    columns = [
        Column(key="table", title="TABLE"),
        Column(key="of", title="COPY OF"),
        Column(key="rows", title="ROWS", right=True),
        Column(key="bytes", title="BYTES", right=True),
        Column(key="left_out", title="DID NOT COME ALONG", format=_listed, wide=True),
    ]
    notes = [f"did not come along: {', '.join(left_out)}"] if left_out else []
    return View(kind="RestoredTable", items=[row], columns=columns, notes=notes, exit_code=record.exit_code)


def _listed(value: object) -> str:
    return (", ".join(map(str, value)) if isinstance(value, list) else "") or "-"


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
