"""How ``dbre ha rejoin`` shows what it sees, and what it has done."""

from typing import TYPE_CHECKING, Any

from dbre.core.operation.model import OperationRecord
from dbre.core.view import Column, View

if TYPE_CHECKING:
    from dbre.capabilities.ha.rejoin.document import RejoinInput
    from dbre.capabilities.ha.rejoin.surveying import Rejoining

__all__ = ["check_view", "done_view"]


def check_view(seen: "Rejoining", asked: "RejoinInput") -> View:
    """What its data is, and what would be done; ends with 3 where it cannot be."""
    from dbre.capabilities.ha.rejoin.rejoin_plan import plan_of, told_of, way_of
    from dbre.capabilities.ha.rejoin.trial import trial_of

    found = seen.kinship
    document = {
        "cluster": seen.cluster.name,
        "instance": seen.instance.name,
        "primary": seen.primary.name,
        "relation": found.relation.value,
        "way": way_of(seen, asked).value,
        "timeline": found.timeline,
        "primary_timeline": found.upstream_timeline,
        "fork": found.fork,
        "is_running": bool(seen.host.processes),
        "takes_writes": seen.is_writable,
        "why_no_rewind": found.why_no_rewind,
        "why_no_clone": found.why_no_clone,
        "copied_from": seen.source.name if seen.source is not None else None,
        "why_no_start": found.why_no_start,
        "leftovers": list(found.leftovers),
        "only_it_has": [one.text for one in seen.online.errants] if seen.online is not None else [],
    }
    lines = [f"{seen.instance.name}: {told_of(seen)}"]
    if found.why_no_rewind is not None:
        lines.append(f"it cannot be rewound: {found.why_no_rewind}")
    if found.leftovers:
        lines.append(f"left behind in its data: {', '.join(found.leftovers)}")
    trial = trial_of(lambda: plan_of(seen, asked))
    return trial.view(kind="RejoinCheck", verdict="may_rejoin", document=document, lines=lines)


def done_view(record: OperationRecord) -> View:
    """What became of it."""
    from dbre.capabilities.ha.rejoin.outcome import outcome_of

    observed = record.planned.plan.observed
    row: dict[str, Any] = {
        "instance": observed["instance"],
        "primary": observed["primary"],
        **outcome_of(record),
        "state": record.state.value,
        "operation": str(record.id),
    }
    columns = [
        Column(key="instance", title="INSTANCE"),
        Column(key="primary", title="FOLLOWS"),
        Column(key="way", title="BY"),
        Column(key="seconds", title="IN s"),
        Column(key="lost_transactions", title="LOST TRANSACTIONS"),
        Column(key="lost_writes", title="IN FILE"),
        Column(key="state", title="STATE"),
        Column(key="operation", title="OPERATION", wide=True),
    ]
    return View(kind="Rejoined", items=[row], columns=columns, exit_code=record.exit_code)
