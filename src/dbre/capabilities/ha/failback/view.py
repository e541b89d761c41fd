"""How ``dbre ha failback`` shows what it sees, and what it has done."""

from typing import TYPE_CHECKING, Any

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
    from dbre.capabilities.ha.rejoin.trial import trial_of
    from dbre.capabilities.ha.switchover.checks import check_row

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
    }
    stands = f"it follows {seen.primary.name}" if back is None else told_of(back)
    lines = [f"{name}: {seen.to.name} is to be primary again instead of {seen.primary.name} ({seen.why})", f"  {stands}"]
    for one in assessed.failed if assessed is not None else ():
        lines += [f"FAIL  {one.subject}: {one.rule.replace('_', ' ')}: {one.value}", f"      wanted: {one.limit}"]
        lines += [f"      remedy: {one.remedy}"] if one.remedy else []
    trial = trial_of(lambda: plan_of(seen, asked, limits))
    return trial.view(kind="FailbackCheck", verdict="may_fail_back", document=document, lines=lines)


def done_view(record: OperationRecord) -> View:
    """What became of it."""
    from dbre.capabilities.ha.rejoin.outcome import results_of

    results = results_of(record)
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
