"""``dbre backup inspect``: a second opinion on repositories that other tools keep."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.view import View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.capabilities.backup.ground import BackupGround
    from dbre.capabilities.backup.second_opinion.drilling import ForeignDrill
    from dbre.capabilities.backup.second_opinion.inspecting import Inspected
    from dbre.capabilities.backup.second_opinion.model import Opinion
    from dbre.core.programs.account import Account

__all__ = ["app"]

app = typer.Typer()


@app.command("inspect")
async def inspect_repository(
    ctx: typer.Context,
    repository: Annotated[
        str,
        typer.Argument(
            metavar="REPOSITORY",
            help="pgbackrest, barman, pg_basebackup, rman, sqlserver, mongodb, or a name of backup.repositories.",
        ),
    ],
    *,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The tool's configuration file.")] = None,
    stanza: Annotated[
        str,
        typer.Option(
            "--stanza",
            metavar="NAME",
            help="Stanza, server of Barman, database; of MongoDB pbm or a directory of dumps; /DIRECTORY of pg_basebackup.",
        ),
    ] = "",
    number: Annotated[int, typer.Option("--repository", min=1, max=256, help="Of pgBackRest's repositories: repo2 is 2.")] = 1,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="NAME", help="What it backs up; tells what would be lost now.")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", metavar="NAME", help="Run the tool as; only root can.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Let the tool verify, and read every log file ourselves.")] = False,
    drill: Annotated[bool, typer.Option("--drill", help="Restore it in a jail to its last change.")] = False,
    directory: Annotated[
        Path | None, typer.Option("--directory", metavar="DIR", help="A drill restores beside it. Default: beside the spool.")
    ] = None,
) -> View:
    """What a repository that another tool keeps is worth: its sets, holes in its log, what would be lost now."""
    from dbre.capabilities.backup.second_opinion.inspecting import inspect
    from dbre.capabilities.backup.second_opinion.page import page_of
    from dbre.capabilities.backup.second_opinion.recording import record_foreign_drill
    from dbre.capabilities.backup.second_opinion.rows import opinion_row
    from dbre.core.errors import ExitCode

    parts = runtime(ctx)
    async with _ground(parts, repository, cluster) as ground:
        chosen, runs_as = _chosen(ground, repository, config, stanza, number, cluster, account)
        opinion = await inspect(ground, chosen, verifies=verify)
        drilled = await _drilled(ground, chosen, opinion, runs_as, directory) if drill else None
        recorded = await record_foreign_drill(ground, drilled) if drilled is not None else None
    item = opinion_row(opinion, drilled, recorded)
    is_good = opinion.is_sound and (drilled is None or drilled.verdict.value == "pass") and not (drill and drilled is None)
    return View(
        kind="RepositoryOpinion",
        items=[item],
        single=True,
        text=page_of(item),
        exit_code=ExitCode.OK if is_good else ExitCode.FINDINGS,
    )


@asynccontextmanager
async def _ground(parts: Runtime, repository: str, cluster: str | None) -> "AsyncIterator[BackupGround]":
    """The state store is opened only where something in it may be about this repository."""
    from dbre.core.store.errors import StoreMissing

    ground = parts.backups(None)
    cluster = cluster or next((one.cluster for one in ground.settings.repositories if one.name == repository), None)
    if cluster is None:
        yield ground
        return
    parts.fleet.cluster(cluster)  # a mistyped name is told at once
    async with AsyncExitStack() as stack:
        with suppress(StoreMissing):  # no control plane has run yet: no samples, no measured restores; told as unknown
            ground = parts.backups(await stack.enter_async_context(parts.open_store()))
        yield ground


def _chosen(
    ground: "BackupGround",
    name: str,
    config: Path | None,
    stanza: str,
    number: int,
    cluster: str | None,
    account: str | None,
) -> "tuple[Inspected, Account]":
    from dbre.capabilities.backup.second_opinion.inspecting import Inspected
    from dbre.tools.foreign_repository import account_of, open_repository

    known = next((one for one in ground.settings.repositories if one.name == name), None)
    tool = known.tool if known is not None else name
    if known is not None:
        config = config or (Path(known.config) if known.config is not None else None)
        stanza, cluster = stanza or known.stanza, cluster or known.cluster
    runs_as = account_of(tool, config, asked=account, otherwise=ground.place.account)
    place = replace(ground.place, account=runs_as)
    found = open_repository(
        tool,
        account=runs_as,
        config=config,
        stanza=stanza,
        repository=number,
        port_of=lambda engine: ground.engines.get(engine).backups(place),
    )
    return Inspected(repository=found, name=f"{tool}/{stanza}", cluster=cluster or stanza), runs_as


async def _drilled(
    ground: "BackupGround", chosen: "Inspected", opinion: "Opinion", runs_as: "Account", directory: Path | None
) -> "ForeignDrill | None":
    from dbre.capabilities.backup.second_opinion.drilling import drill

    if opinion.plan is None:
        return None  # that nothing can be restored is among the problems
    return await drill(ground, chosen, opinion.plan, account=runs_as, directory=_scratch(ground, directory))


def _scratch(ground: "BackupGround", directory: Path | None) -> Path:
    """Named so that a later run may remove it where this one is killed."""
    from dbre.capabilities.backup.restoring.staging import require_new, staging_root
    from dbre.core.ids import uuid7

    name = str(uuid7(ground.clock))
    if directory is None:
        return staging_root(ground.directory) / name
    require_new(directory)
    return directory.absolute().with_name(f".{directory.name}.dbre-{name}")
