"""``dbre chaos preflight``: everything that is looked at before an experiment, and nothing else."""

from typing import Annotated

import typer

from dbre.core.view import Column, View
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer()


@app.command()
async def preflight(
    ctx: typer.Context,
    experiment: Annotated[str, typer.Argument(metavar="FILE", help="An experiment: YAML or JSON, see dbre chaos schema.")],
) -> View:
    """Whether an experiment might begin now; changes nothing. Ends with 3 where something is not as it has to be."""
    from dbre.capabilities.chaos.documents import Experiment
    from dbre.capabilities.chaos.experiment_file import read_experiment
    from dbre.capabilities.chaos.experiment_plan import check_names
    from dbre.capabilities.chaos.preflight.checks import checks_of
    from dbre.capabilities.chaos.preflight.gathering import gather, roles_of
    from dbre.core.errors import ExitCode

    parts = runtime(ctx)
    asked = Experiment.model_validate(read_experiment(experiment))
    async with parts.open_desk(), parts.open_store() as store:
        ground = parts.chaos(store)
        cluster = ground.fleet.cluster(asked.cluster)
        check_names(asked, cluster)
        answers = await roles_of(ground, cluster, "dbre:chaos:preflight")
        facts = await gather(ground, asked, answers=answers)
        found = checks_of(asked, cluster, ground.rule_of(cluster), facts)
    columns = [
        Column(key="name", title="CHECK"),
        Column(key="holds", title="HOLDS", format=lambda one: "not known" if one is None else "yes" if one else "NO"),
        Column(key="seen", title="SEEN", below=True),
        Column(key="limit", title="WANTED"),
        Column(key="remedy", title="REMEDY", wide=True, below=True),
    ]
    code = ExitCode.FINDINGS if any(one.holds is False for one in found) else ExitCode.OK
    return View(kind="PreflightCheckList", items=[one.document() for one in found], columns=columns, exit_code=code)
