"""Plans for the loss of a site, for people and scripts."""

from collections.abc import Mapping, Sequence
from typing import Any

from dbre.capabilities.ha.disaster.acting import obstacle_row
from dbre.capabilities.ha.disaster.measures import DisasterRun, problems_of
from dbre.capabilities.ha.disaster.repository import StoredRun
from dbre.capabilities.ha.disaster.surveying import DisasterSurvey
from dbre.core.errors import ExitCode
from dbre.core.operation.model import OperationRecord
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.core.view import Column, Row, View
from dbre.ports.succession import Obstacle

__all__ = ["check_view", "done_view", "plan_view", "run_list_view"]


def _span(value: object) -> str:
    return format_duration(round(float(value), 3)) if isinstance(value, int | float) else "-"


_CHECK_COLUMNS = (
    Column(key="state", title=""),
    Column(key="rule", title="RULE"),
    Column(key="subject", title="OF"),
    Column(key="value", title="SEEN", below=True),
    Column(key="limit", title="WANTED", below=True),
    Column(key="source", title="SOURCE", wide=True),
    Column(key="remedy", title="REMEDY", below=True, format=lambda value: str(value) if value else ""),
)
_RUN_COLUMNS = (
    Column(key="began_at", title="WHEN", format=lambda value: str(value)[:16].replace("T", " ") + "Z"),
    Column(key="cluster", title="CLUSTER"),
    Column(key="action", title="WHAT"),
    Column(key="site_before", title="FROM"),
    Column(key="site_after", title="TO"),
    Column(key="achieved_rto_seconds", title="NO WRITES FOR", right=True, format=_span),
    Column(key="rto_seconds", title="PROMISED", right=True, format=_span),
    Column(key="lost_seconds", title="LOST UP TO", right=True, format=_span),
    Column(key="rpo_seconds", title="PROMISED", right=True, format=_span),
    Column(key="loss", title="LOSS", wide=True),
    Column(key="write_seconds", title="WRITES", right=True, format=_span, wide=True),
    Column(key="attested_by", title="ATTESTED BY", wide=True),
    Column(key="problems", title="WHAT IS WRONG", below=True, format=lambda value: str(value) if value else ""),
    Column(key="operation", title="OPERATION", tail=True),
)


def _state(one: Mapping[str, Any]) -> str:
    return "ok" if one["is_met"] else "NO" if one["is_blocking"] else "warn"


def check_view(checks: Sequence[Obstacle], *, kind: str, found: DisasterSurvey | None = None) -> View:
    """Every promise, what is wrong first; ends with 3 where one is not kept."""
    rows = [obstacle_row(one) for one in checks]
    shown: list[Row] = [{**one, "state": _state(one), "remedy": None if one["is_met"] else one["remedy"]} for one in rows]
    shown.sort(key=lambda row: ("NO", "warn", "ok").index(str(row["state"])))
    notes = []
    if found is not None and found.exposure is not None:
        notes.append(f"promoting {found.candidate} at {found.there.name} now loses {found.exposure.text}")
    code = ExitCode.FINDINGS if any(row["state"] == "NO" for row in shown) else ExitCode.OK
    return View(kind=kind, items=shown, columns=list(_CHECK_COLUMNS), notes=notes, exit_code=code)


def run_row(run: DisasterRun, *, cluster: str, operation: str) -> Row:
    """One run with what is wrong with it."""
    return {**run.document(), "cluster": cluster, "operation": operation, "problems": "; ".join(problems_of(run))}


def run_list_view(runs: Sequence[StoredRun]) -> View:
    """What was done with plans, the newest first."""
    rows = [run_row(one.run, cluster=one.cluster, operation=str(one.operation_id)) for one in runs]
    return View(
        kind="DisasterRunList", items=rows, columns=list(_RUN_COLUMNS), empty="no plan was rehearsed or carried out yet"
    )


def done_view(record: OperationRecord) -> View:
    """What became of one operation, promised against measured; ends with 3 where something was not as it should be."""
    results: list[Mapping[str, Any]] = [one.result or {} for one in record.steps if one.phase == "do"]
    kept = next((one.get("run", one) for one in reversed(results) if "rto_seconds" in one.get("run", one)), None)
    cluster = record.planned.plan.target.rpartition("/")[2]
    rows: list[Row] = []
    if kept is not None:
        rows.append(run_row(DisasterRun.of(kept), cluster=cluster, operation=str(record.id)))
    is_bad = any(row["problems"] for row in rows)
    code = ExitCode.FINDINGS if record.exit_code is ExitCode.OK and is_bad else record.exit_code
    return View(
        kind="DisasterRun",
        items=rows,
        columns=list(_RUN_COLUMNS),
        exit_code=code,
        empty=f"{record.planned.plan.summary}: {record.state.value}",
    )


def plan_view(found: DisasterSurvey) -> View:
    """The plan, and who is where now."""
    rows: list[Row] = []
    for site in found.plan.sites:
        for name in site.instances:
            exposure = found.exposures.get(name)
            node = found.topology.node(name)
            seen = "primary" if name == found.primary else node.contact.value if node is not None else "not asked"
            rows.append(
                {
                    "site": site.name,
                    "instance": name,
                    "role": "replica" if exposure is not None and name != found.primary else seen,
                    "is_candidate": name == found.candidate,
                    "loss": exposure.text if exposure is not None and name != found.primary else None,
                    "lost_bytes": exposure.bytes if exposure is not None else None,
                    "lost_seconds": exposure.seconds if exposure is not None else None,
                }
            )
        rows += [{"site": site.name, "instance": name, "role": "observer"} for name in site.observers]
    goals = found.plan.objectives
    rto, rpo = (format_duration(one.total_seconds()) for one in (goals.rto, goals.rpo))
    return View(
        kind="DisasterPlan",
        items=rows,
        columns=[
            Column(key="site", title="SITE"),
            Column(key="instance", title="INSTANCE"),
            Column(key="role", title="ROLE"),
            Column(key="is_candidate", title="TAKES OVER", format=lambda value: "*" if value else ""),
            Column(key="loss", title="PROMOTING IT NOW LOSES", format=lambda value: str(value) if value else "-"),
        ],
        notes=[
            f"promised: at most {rto} without writes, and at most {rpo} of writes lost",
            *(
                f"{action.value}: {one.began_at:%Y-%m-%d %H:%M} UTC, "
                + (printable("; ".join(problems_of(one.run)), limit=300) or "well")
                for action, one in found.runs.items()
            ),
        ],
    )
