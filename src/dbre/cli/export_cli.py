"""``dbre export``: files with which schedulers that people already run submit operations to dbre."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.view import View

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from dbre.core.operation.orchestrators import Orchestrator
    from dbre.ports.runtime import Runtime

__all__ = ["app"]

app = typer.Typer()


class Target(StrEnum):
    """What the file is for; known here, so that help imports nothing."""

    AIRFLOW = "airflow"
    PREFECT = "prefect"


_Orchestrator = Annotated[Target, typer.Argument(metavar="airflow|prefect", help="What runs the file.")]
_Kind = Annotated[str | None, typer.Argument(help="Kind of operation: fleet.check. Left out with --plan.")]
_Url = Annotated[str, typer.Option("--url", help="Address of the control plane, as the orchestrator reaches it.")]
_Input = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", metavar="KEY=VALUE", help="Input of the operation; KEY:=JSON for what is no text."),
]
_Plan = Annotated[Path | None, typer.Option("--plan", help="Submit exactly this plan (from --dry-run -o json).")]
_Reason = Annotated[str | None, typer.Option("--reason", help="Why it is run; kept with the operation.")]
_Confirm = Annotated[str | None, typer.Option("--confirm", metavar="NAME", help="What a severe operation asks to be typed.")]
_Name = Annotated[str | None, typer.Option("--name", help="Name of the DAG or flow. Default: dbre-KIND.")]
_Schedule = Annotated[str | None, typer.Option("--schedule", metavar="CRON", help="Five fields of cron. Default: by hand.")]
_Zone = Annotated[str, typer.Option("--time-zone", help="Time zone of the schedule.")]
_Keep = Annotated[
    bool, typer.Option("--cancel-when-killed/--leave-when-killed", help="What becomes of the operation if its task is stopped.")
]
_Out = Annotated[Path | None, typer.Option("--out", help="File to write. Default: print it.")]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")]


@app.command()
def export(
    ctx: typer.Context,
    orchestrator: _Orchestrator,
    kind: _Kind = None,
    *,
    url: _Url,
    inputs: _Input = None,
    plan: _Plan = None,
    reason: _Reason = None,
    confirm: _Confirm = None,
    name: _Name = None,
    schedule: _Schedule = None,
    time_zone: _Zone = "UTC",
    cancel_when_killed: _Keep = True,
    out: _Out = None,
    overwrite: _Overwrite = False,
) -> View:
    """Write DAGs for Airflow and flows for Prefect that run operations.

    airflow: a DAG for Airflow 2.10 or later and 3. It submits the operation with a key made of its name and the logical date;
    the token of dbre is the password of the connection dbre, or DBRE_TOKEN in the environment of the task.

    prefect: a flow for Prefect 3. Its key is made of the id of the run; the token is in the secret block dbre, or DBRE_TOKEN in
    the environment of the run.

    So a task that is tried again finds the same operation, and it ends as the operation ends. The file holds no token.
    """
    from dbre.core.operation.orchestrators import Orchestrator
    from dbre.ports.runtime import runtime

    here = runtime(ctx)
    body = _body(here, kind, inputs or [], plan) | _given(reason=reason, confirm=confirm)
    asked = {"url": url, "name": name, "schedule": schedule, "time_zone": time_zone, "cancel_when_killed": cancel_when_killed}
    return _written(here, Orchestrator(orchestrator.value), body, asked=asked, out=out, overwrite=overwrite)


def _given(**values: str | None) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}


def _body(here: "Runtime", kind: str | None, inputs: list[str], plan: Path | None) -> dict[str, Any]:
    """What will be submitted, checked as far as it can be checked here."""
    from dbre.core.errors import UsageError
    from dbre.core.operation.orchestrators.asking import checked_input, checked_plan, parse_inputs
    from dbre.core.text import printable

    if (kind is None) is (plan is None):
        raise UsageError("give either a kind of operation or --plan", hint="dbre export airflow fleet.check -i cluster=orders")
    if plan is None:
        definition = here.operations.get(str(kind))
        return {"kind": kind, "input": checked_input(definition, parse_inputs(inputs))}
    if inputs:
        raise UsageError("--input does not go with --plan", hint="the plan holds its input")
    try:
        text = plan.read_bytes()
    except OSError as error:
        raise UsageError(f"{printable(str(plan))} cannot be read: {error.strerror}") from error
    return {"plan": checked_plan(text)}


def _written(
    here: "Runtime",
    orchestrator: "Orchestrator",
    body: dict[str, Any],
    *,
    asked: dict[str, Any],
    out: Path | None,
    overwrite: bool,
) -> View:
    from datetime import timedelta

    from dbre import __version__
    from dbre.core.operation.orchestrators import ExportRequest, render

    kind, target = str(body.get("kind") or body["plan"]["operation"]), body.get("plan", {}).get("target")
    request = ExportRequest(
        **asked | {"name": asked["name"] or "dbre-" + kind.replace(".", "-")},
        description=f"{kind} through dbre" + (f" on {target}" if target else ""),
        request=body,
        start=here.clock.now().date() - timedelta(days=1),  # in any time zone: Airflow lets earlier runs succeed undone
    )
    source = render(orchestrator, request, version=__version__)
    if out is None:
        return View(kind="Export", items=[{"orchestrator": orchestrator.value, "source": source}], text=source.rstrip("\n"))
    _save(source, out, overwrite=overwrite)
    item = {"orchestrator": orchestrator.value, "name": request.name, "file": str(out)}
    return View(
        kind="Export",
        items=[item],
        single=True,
        notes=[f"token: {request.token_variable} or {request.token_connection!r} there"],
    )


def _save(source: str, out: Path, *, overwrite: bool) -> None:
    from dbre.core.errors import UsageError
    from dbre.core.text import printable

    try:
        with out.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(source)
    except FileExistsError as error:
        raise UsageError(f"{printable(str(out))} exists", hint="give another name, or --overwrite") from error
    except OSError as error:
        raise UsageError(f"{printable(str(out))} cannot be written: {error.strerror}") from error
