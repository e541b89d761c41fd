"""``dbre chaos faults``, ``inject``, ``run``, ``heal``, ``schema``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.operation.act import Act
from dbre.core.view import Column, Row, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.core.operation.model import OperationRecord

__all__ = ["app"]

app = typer.Typer()

MayTakeLast = Annotated[
    bool, typer.Option("--may-take-last", help="Freeze or crash although no other instance of the cluster answers.")
]


@app.command()
def faults() -> View:
    """The faults there are: what each needs, how it is seen, how it is undone."""
    from dbre.capabilities.chaos.injection.catalogue import CATALOGUE

    rows: list[Row] = [
        {
            "name": one.name,
            "summary": one.summary,
            "parameters": ", ".join(one.parameters.model_fields) or None,
            "privilege": one.privilege,
            "proof": one.proof,
            "undo": one.undo,
            "is_local": one.is_local,
            "is_outage": one.is_outage,
        }
        for one in CATALOGUE.values()
    ]
    columns = [
        Column(key="name", title="FAULT"),
        Column(key="parameters", title="PARAMETERS"),
        Column(key="summary", title="WHAT", below=True),
        Column(key="privilege", title="NEEDS", below=True, wide=True),
        Column(key="proof", title="SEEN BY", below=True, wide=True),
        Column(key="undo", title="UNDONE BY", below=True, wide=True),
    ]
    return View(kind="FaultList", items=rows, columns=columns)


@app.command()
def inject(
    fault: Annotated[str, typer.Argument(metavar="FAULT", help="Its name: dbre chaos faults.")],
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")],
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help="An instance of that cluster.")],
    parameters: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="size=500MB")] = None,
    *,
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long it stays at most.")] = "30s",
    abort_slo: Annotated[
        list[str] | None, typer.Option("--abort-slo", metavar="SLO", help="Take it back when this SLO pages; again for more.")
    ] = None,
    burn_rate: Annotated[
        float | None, typer.Option("--burn-rate", help="Take it back when such an SLO burns so many times too fast.")
    ] = None,
    may_take_last: MayTakeLast = False,
) -> Act:
    """One fault on one instance, held by a process of its own, and seen to be gone afterwards."""
    from dbre.core.errors import UsageError

    if burn_rate is not None and not abort_slo:
        raise UsageError("--burn-rate needs --abort-slo: no SLO is named to watch", hint="add --abort-slo SLO")
    order = {
        "fault": fault,
        "instance": instance,
        "parameters": dict(_assignment(one) for one in parameters or []),
        "for": lasts,
    }
    answers = {"name": f"{instance} answers", "kind": "answers", "instance": instance, "when": ["before", "after"]}
    asked: dict[str, Any] = {
        "title": f"{fault} on {instance}",
        "cluster": cluster,
        "hypothesis": [answers],
        "faults": [order],
        "may_take_last": may_take_last,
    }
    if abort_slo:
        asked["abort"] = [{"slo": one} | ({"burn": burn_rate} if burn_rate is not None else {}) for one in abort_slo]
    return Act(kind="chaos.run", input=asked, view=_result)


@app.command()
def run(
    experiment: Annotated[str, typer.Argument(metavar="FILE", help="An experiment: YAML or JSON, see dbre chaos schema.")],
) -> Act:
    """An experiment from a file: baseline, faults, and whether what should hold held."""
    from dbre.capabilities.chaos.experiment_file import read_experiment

    return Act(kind="chaos.run", input=read_experiment(experiment), view=_result)


@app.command("import")
def import_experiment(
    experiment: Annotated[str, typer.Argument(metavar="FILE", help="An experiment of Chaos Toolkit, as JSON or YAML.")],
    *,
    cluster: Annotated[str, typer.Option("--cluster", metavar="CLUSTER", help="On which cluster it is to be run.")],
    instance: Annotated[str, typer.Option("--instance", metavar="INSTANCE", help="On which of its instances.")],
) -> View:
    """An experiment of Chaos Toolkit as one of ours; ends with 3 where something of it has no counterpart."""
    import json

    from dbre.capabilities.chaos.chaos_toolkit import translate
    from dbre.capabilities.chaos.documents import Experiment
    from dbre.capabilities.chaos.experiment_file import read_plain
    from dbre.core.errors import ExitCode

    found = translate(read_plain(experiment), cluster=cluster, instance=instance)
    document = Experiment.model_validate(found.document).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    document = {"api_version": "dbre/v1", "kind": "Experiment", **document}
    return View(
        kind="Experiment",
        items=[document],
        single=True,
        text=json.dumps(document, indent=2, ensure_ascii=False) + "\n",  # which is YAML too
        notes=[f"not translated: {one}" for one in found.untranslated],
        exit_code=ExitCode.FINDINGS if found.untranslated else ExitCode.OK,
    )


@app.command()
async def heal(
    ctx: typer.Context,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also take back faults that an experiment still holds.")] = False,
) -> View:
    """Take back every fault that nobody holds any more; run it at the start of a machine. Ends with 9 if one is stuck."""
    from dbre.capabilities.chaos.config_document import state_directory
    from dbre.capabilities.chaos.injection.healing import heal as heal_all
    from dbre.core.errors import ExitCode

    parts = runtime(ctx)
    found = await heal_all(state_directory(parts.config), parts.fleet, parts.engines, parts.clock, force=force)
    rows: list[Row] = [
        {
            "id": one.record.id,
            "fault": one.record.fault,
            "cluster": one.record.cluster,
            "instance": one.record.instance,
            "outcome": one.outcome,
            "detail": one.detail,
        }
        for one in found
    ]
    columns = [
        Column(key="id", title="ID"),
        Column(key="fault", title="FAULT"),
        Column(key="instance", title="INSTANCE"),
        Column(key="outcome", title="OUTCOME"),
        Column(key="detail", title="SEEN", below=True),
    ]
    code = ExitCode.NEEDS_OPERATOR if any(one.is_left for one in found) else ExitCode.OK
    return View(kind="HealedFaultList", items=rows, columns=columns, empty="no fault is left over", exit_code=code)


@app.command()
def schema() -> View:
    """The JSON Schema of experiments, for editors and checks."""
    import json

    from dbre.capabilities.chaos.documents import Experiment

    found = Experiment.model_json_schema(by_alias=True)
    return View(kind="ExperimentSchema", items=[found], single=True, text=json.dumps(found, indent=2) + "\n")


def _assignment(text: str) -> tuple[str, str]:
    from dbre.core.errors import UsageError
    from dbre.core.text import quoted

    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{quoted(text, limit=100)} is no parameter", hint="write size=500MB")
    return name.strip(), value


def _result(record: "OperationRecord") -> View:
    from dbre.capabilities.chaos.experiment_view import experiment_view

    return experiment_view(record)
