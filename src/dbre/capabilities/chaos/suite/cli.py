"""``dbre chaos suite``: the required catalogue, one question after the other."""

from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.operation.act import Act
from dbre.core.view import Column, Row, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.core.operation.model import OperationRecord

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The questions that every cluster should have an answer to, one after the other.")

Cluster = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="ENTRY", help="Only this question; again for more.")]


@app.command("run")
def run_suite(cluster: Cluster, only: Only = None) -> Act:
    """Ask them all: the cluster is whole again between two, and the first loss of data ends it."""
    from dbre.capabilities.chaos.suite.documents import check_entries

    check_entries(tuple(only or ()))
    return Act(kind="chaos.suite", input={"cluster": cluster, "only": only or []}, view=_result)


@app.command("list")
async def list_suite(ctx: typer.Context, cluster: Cluster, only: Only = None) -> View:
    """What would be done about each question on a cluster as it is now, or why nothing can be."""
    from dbre.capabilities.chaos.operations.run_suite import choices_for
    from dbre.capabilities.chaos.preflight.gathering import roles_of
    from dbre.capabilities.chaos.suite.documents import AskedSuite
    from dbre.core.errors import UsageError

    parts = runtime(ctx)
    try:
        asked = AskedSuite(cluster=cluster, only=tuple(only or ()))
    except ValueError as error:
        raise UsageError(_first(error), hint="dbre chaos suite list CLUSTER") from error
    async with parts.open_desk(), parts.open_store() as store:
        ground = parts.chaos(store)
        roles = await roles_of(ground, ground.fleet.cluster(cluster), "dbre:chaos:suite")
        choices = choices_for(ground, asked, roles)
    rows: list[Row] = [
        {
            "entry": one.entry.name,
            "weight": one.entry.weight,
            "can_run": one.can_run,
            "what": one.reason,
            "question": one.entry.question,
            "experiment": dict(one.experiment) if one.experiment is not None else None,
        }
        for one in choices
    ]
    columns = [
        Column(key="entry", title="ENTRY"),
        Column(key="weight", title="WEIGHT", right=True),
        Column(key="can_run", title="RUNS", format=lambda value: "yes" if value else "no"),
        Column(key="what", title="WHAT", below=True),
        Column(key="question", title="QUESTION", wide=True, below=True),
    ]
    return View(kind="ChaosSuite", items=rows, columns=columns)


def _first(error: ValueError) -> str:
    from pydantic import ValidationError

    from dbre.core.text import printable

    if isinstance(error, ValidationError):
        return printable(error.errors()[0]["msg"].removeprefix("Value error, "), limit=300)
    return printable(str(error), limit=300)


def _result(record: "OperationRecord") -> View:
    from dbre.core.errors import ExitCode

    results = {step.name: step.result or {} for step in record.steps if step.result}
    rows: list[Row] = []
    for name, found in results.items():
        if name.startswith("experiment:"):
            entry = name.partition(":")[2]
            recovered = results.get(f"recover:{entry}", {}).get("seconds")
            rows.append({"run": None, "score_ratio": None, **found, "recovered_seconds": recovered})
    columns = [
        Column(key="entry", title="ENTRY"),
        Column(key="state", title="STATE"),
        Column(
            key="score_ratio",
            title="SCORE",
            right=True,
            format=lambda one: "-" if one is None else f"{float(str(one)) * 100:.0f}",
        ),
        Column(
            key="recovered_seconds",
            title="WHOLE AFTER",
            right=True,
            format=lambda one: "-" if one is None else f"{float(str(one)):.1f} s",
        ),
        Column(key="run", title="RUN", tail=True),
        Column(key="reason", title="WHY", below=True),
    ]
    is_good = all(row["state"] in ("held", "skipped") for row in rows)
    code = record.exit_code if record.exit_code is not ExitCode.OK or is_good else ExitCode.FINDINGS
    return View(kind="ChaosSuiteResult", items=rows, columns=columns, exit_code=code)
