"""``dbre vault restore``: bring a moment back from a vault, with nothing else left."""

from typing import TYPE_CHECKING, Annotated

import typer

from dbre.capabilities.backup.restoring.cli import LossOption, SetOption, with_target
from dbre.core.progress import report
from dbre.core.view import Column, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.capabilities.backup.restoring.target import TargetText

__all__ = ["app"]


app = typer.Typer()


@app.command()
@with_target
async def restore(
    ctx: typer.Context,
    vault: Annotated[str, typer.Argument(metavar="VAULT", help="A vault of dbre.yaml.")],
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="As the vault names it; the inventory need not have it.")],
    *,
    directory: Annotated[str, typer.Option("--directory", metavar="DIR", help="A new directory; nothing is written over.")],
    target: "TargetText",
    set_id: SetOption = None,
    accept_loss: LossOption = False,
    only_plan: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and end.")] = False,
) -> View:
    """Bring a moment back from a vault alone: no state store, no control plane, no cluster that still lives."""
    from pathlib import Path

    from dbre.capabilities.backup.alone.restoring import plan_alone, restore_alone
    from dbre.capabilities.backup.looking.cli import reporting
    from dbre.capabilities.backup.restoring.handing_over import next_steps
    from dbre.capabilities.backup.restoring.request import Asked
    from dbre.capabilities.backup.restoring.restore_plan import target_words
    from dbre.capabilities.backup.restoring.target import parse_target
    from dbre.capabilities.backup.restoring.telling import ending_words
    from dbre.core.text import printable

    parts = runtime(ctx)
    wanted = parse_target(target, now=parts.clock.now())
    ground = parts.backups(None)
    asked = Asked(cluster=cluster, target=wanted, vault=vault, set_id=set_id, accept_loss=accept_loss)
    plan = await plan_alone(ground, asked)
    for problem in plan.problems:
        report(f"{problem.message} ({problem.hint})")
    words, where = target_words(plan.asked), str(Path(directory).absolute())  # noqa: ASYNC240 -- asks for the working directory only
    row: dict[str, object] = {
        "cluster": cluster,
        "target": words,
        "directory": where,
        "sets": [one.id for one in plan.chain],
        "log_files": len(plan.logs),
        "timeline": plan.timeline,
        "is_possible": plan.is_possible,
        "has_reached_target": None,
        "position": None,
        "seconds": None,
    }
    if not only_plan:
        report(
            f"restoring {printable(cluster, limit=100)} as of {words} from {vault}: {' + '.join(one.id for one in plan.chain)}"
        )
        done = await restore_alone(ground, plan, Path(where), tell=reporting())
        report(ending_words(done.outcome))
        row |= {
            "has_reached_target": done.outcome.has_reached_target or plan.may_end_with_log,
            "position": done.outcome.position.text if done.outcome.position else None,
            "seconds": round(sum(one.seconds for one in done.phases), 3),
        }
    columns = [
        Column(key="directory", title="DIRECTORY"),
        Column(key="target", title="AS OF"),
        Column(key="position", title="POSITION"),
        Column(key="log_files", title="LOG FILES", right=True),
        Column(key="timeline", title="TIMELINE", right=True),
        Column(key="seconds", title="SECONDS", right=True),
    ]
    return View(kind="VaultRestore", items=[row], columns=columns, notes=[] if only_plan else next_steps(cluster, where))
