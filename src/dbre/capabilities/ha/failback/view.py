"""How ``dbre ha failback`` shows what it sees, and what it has done."""

from typing import TYPE_CHECKING, Any

from dbre.core.errors import DbreError, ExitCode
from dbre.core.operation.model import OperationRecord
from dbre.core.view import Column, View

if TYPE_CHECKING:
    from dbre.capabilities.ha.failback.document import FailbackInput
    from dbre.capabilities.ha.failback.surveying import Returning
    from dbre.capabilities.ha.switchover.config_document import SwitchoverDocument

__all__ = ["check_view", "done_view"]


def check_view(seen: "Returning", asked: "FailbackInput", limits: "SwitchoverDocument") -> View:
    """Who would be primary again, by which parts; ends with 3 where it cannot be done now."""
    from dbre.capabilities.ha.failback.failback_plan import plan_of
    from dbre.capabilities.ha.failback.surveying import rejoin_input
    from dbre.capabilities.ha.rejoin.rejoin_plan import told_of, way_of
    from dbre.capabilities.ha.switchover.checks import check_row

    why: DbreError | None = None
    steps: list[str] = []
    warnings: list[str] = []
    try:
        plan = plan_of(seen, asked, limits)
        steps, warnings = [one.summary for one in plan.steps], list(plan.warnings)
    except DbreError as error:
        why = error
    back, assessed = seen.rejoining, seen.assessment
    name = seen.cluster.name
    document = {
        "cluster": name,
        "primary": seen.primary.name,
        "to": seen.to.name,
        "chosen_because": seen.why,
        "follows": back is None,
        "relation": back.kinship.relation.value if back is not None else None,
        "way": way_of(back, rejoin_input(name, seen.to.name, asked)).value if back is not None else None,
        "checks": [dict(check_row(one)) for one in assessed.checks] if assessed is not None else [],
        "may_fail_back": why is None,
        "reason": why.message if why is not None else None,
        "steps": steps,
        "warnings": warnings,
    }
    stands = f"it follows {seen.primary.name}" if back is None else told_of(back)
    lines = [f"{name}: {seen.to.name} is to be primary again instead of {seen.primary.name} ({seen.why})", f"  {stands}"]
    for one in assessed.failed if assessed is not None else ():
        lines += [f"FAIL  {one.subject}: {one.rule.replace('_', ' ')}: {one.value}", f"      wanted: {one.limit}"]
        lines += [f"      remedy: {one.remedy}"] if one.remedy else []
    if why is not None:
        lines += [f"cannot be done now: {why.message}", *([f"remedy: {why.hint}"] if why.hint else [])]
    lines += [f"  {number}. {one}" for number, one in enumerate(steps, start=1)]
    lines += [f"note: {one}" for one in warnings]
    return View(
        kind="FailbackCheck",
        items=[document],
        single=True,
        text="\n".join(lines) + "\n",
        exit_code=ExitCode.OK if why is None else ExitCode.FINDINGS,
    )


def done_view(record: OperationRecord) -> View:
    """What became of it."""
    results = {one.name: one.result or {} for one in record.steps if one.phase == "do"}
    observed, back, switched = record.planned.plan.observed, results.get("rejoin", {}), results.get("switch", {})
    row: dict[str, Any] = {
        "primary": observed["candidate"] if switched else observed["primary"],
        "before": observed["primary"] if switched else None,
        "way": back.get("way"),
        "lost_transactions": back.get("lost_transactions"),
        "lost_writes": back.get("lost_writes"),
        "waited_seconds": results.get("wait", {}).get("seconds"),
        "write_gap_seconds": switched.get("write_gap_seconds"),
        "state": record.state.value,
        "operation": str(record.id),
    }
    columns = [
        Column(key="primary", title="PRIMARY"),
        Column(key="before", title="BEFORE"),
        Column(key="way", title="BACK BY"),
        Column(key="lost_transactions", title="LOST TRANSACTIONS"),
        Column(key="lost_writes", title="IN FILE", wide=True),
        Column(key="waited_seconds", title="WAITED s"),
        Column(key="write_gap_seconds", title="NO WRITES s"),
        Column(key="state", title="STATE"),
        Column(key="operation", title="OPERATION", wide=True),
    ]
    return View(kind="FailedBack", items=[row], columns=columns, exit_code=record.exit_code)
