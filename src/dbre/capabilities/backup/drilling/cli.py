"""``dbre backup drill|drills|proof``: restores that prove something, and what they proved."""

from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.operation.act import Act
from dbre.core.view import View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dbre.capabilities.backup.drilling.proof import Proof
    from dbre.capabilities.backup.ground import BackupGround
    from dbre.capabilities.backup.model import Drill
    from dbre.core.operation.model import OperationRecord

__all__ = ["app"]

app = typer.Typer()

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
ClusterOrAll = Annotated[str | None, typer.Argument(metavar="[CLUSTER]", help="Default: every cluster with a policy.")]


@app.command("drill")
def drill(
    cluster: ClusterName,
    *,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="WHAT", help="random, latest, restore_point, or 2026-11-21T04:00:00Z."),
    ] = None,
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="MODE", help="faithful; fast: without fsync, and no measure of time.")
    ] = None,
    set_id: Annotated[str | None, typer.Option("--set", metavar="SET", help="Start from this set.")] = None,
) -> Act:
    """Bring a moment back where it can harm nobody, check it, remove it; ends with 3 unless it is proved."""
    from dbre.core.errors import UsageError
    from dbre.core.text import quoted

    if mode not in (None, "faithful", "fast"):
        raise UsageError(f"{quoted(mode, limit=60)} is no mode of a drill", hint="write --mode faithful or --mode fast")
    return Act(kind="backup.drill", input={"cluster": cluster, "target": target, "mode": mode, "set_id": set_id}, view=_ended)


def _ended(record: "OperationRecord") -> View:
    """What the drill found."""
    from dbre.capabilities.backup.drilling.recording import drill_of
    from dbre.capabilities.backup.drilling.views import drill_view

    found = next((step.result for step in record.steps if step.name == "prove" and step.result), None)
    if found is None:
        return View(kind="DrillResultList", items=[], empty="the drill did not get that far", exit_code=record.exit_code)
    return drill_view(drill_of(found))


@app.command("drills")
async def drills(
    ctx: typer.Context,
    cluster: ClusterOrAll = None,
    *,
    verdict: Annotated[
        list[str] | None, typer.Option("--verdict", metavar="WORD", help="Only pass, fail or inconclusive; may be repeated.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only those that ended since: 30d.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 50,
) -> View:
    """Drills that were made, the newest first."""
    from dbre.capabilities.backup.catalog.drills import list_drills
    from dbre.capabilities.backup.drilling.views import drills_view
    from dbre.capabilities.backup.model import DrillVerdict
    from dbre.core.errors import UsageError
    from dbre.core.moments import moment_of

    parts = runtime(ctx)
    if cluster is not None:
        parts.fleet.cluster(cluster)
    try:
        verdicts = [DrillVerdict(one) for one in verdict or []]
    except ValueError as error:
        raise UsageError(f"--verdict: {error}", hint="write pass, fail or inconclusive") from error
    moment = moment_of("--since", since, parts.clock)
    async with parts.open_store() as store, store.read() as connection:
        found = await list_drills(connection, cluster=cluster, verdicts=verdicts, since=moment, limit=limit)
    return drills_view(found)


@app.command("proof")
async def proof(
    ctx: typer.Context,
    cluster: ClusterOrAll = None,
    *,
    last: Annotated[bool, typer.Option("--last/--last-passed", help="From the last drill, or the last that passed.")] = True,
) -> View:
    """The checklist of a backup and restore drill, answered line by line; ends with 3 unless all of it holds."""
    from dbre.capabilities.backup.catalog.escrows import list_escrows
    from dbre.capabilities.backup.drilling.views import proofs_view
    from dbre.capabilities.backup.policy.vault_checks import escrow_told

    parts = runtime(ctx)
    async with parts.open_store() as store:
        ground = parts.backups(store)
        names = [cluster] if cluster is not None else [one.name for one in parts.fleet.clusters if ground.policy_of(one.name)]
        async with store.read() as connection:
            found = [await _proof(connection, ground, name, is_last=last) for name in names]
            trials = await list_escrows(connection)
    policies = [policy for name in names if (policy := ground.policy_of(name)) is not None]
    used = {vault for policy in policies for vault in policy.vaults}
    return proofs_view(found, notes=[escrow_told(one, trials) for one in ground.vaults if one.name in used])


async def _proof(connection: "AsyncConnection", ground: "BackupGround", cluster: str, *, is_last: bool) -> "Proof":
    from dbre.capabilities.backup.catalog.drills import newest_drill
    from dbre.capabilities.backup.catalog.loading import read_catalog
    from dbre.capabilities.backup.drilling.proof import proof_of
    from dbre.capabilities.backup.model import DrillVerdict

    ground.fleet.cluster(cluster)
    drill = await newest_drill(connection, cluster, verdicts=() if is_last else [DrillVerdict.PASS])
    return proof_of(
        cluster,
        ground.policy_of(cluster),
        await read_catalog(connection, cluster),
        drill,
        now=ground.clock.now(),
        has_evidence=await _has_evidence(connection, drill),
    )


async def _has_evidence(connection: "AsyncConnection", drill: "Drill | None") -> bool:
    """Whether the journal still has the drill's operation, of which a signed pack can be made at any time."""
    from dbre.core.operation.errors import NoSuchOperation
    from dbre.core.operation.reading import load

    if drill is None or drill.operation_id is None:
        return False
    try:
        record = await load(connection, drill.operation_id)
    except NoSuchOperation:
        return False
    return any(step.name == "prove" and step.result for step in record.steps)
